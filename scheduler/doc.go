// Package scheduler decides where and how the parts of a model run, and runs
// them.
//
// A [Workload] is a model's graphs by phase. [Planner.Plan] assigns each to a
// device under a [Policy] and chooses tile batches and the prefill chunk; the
// result is a [Plan], a plain value that prints, saves, loads and says the
// reason of everything in it. [Plan.Load] compiles it into a [Pipeline],
// whose stages run through queues and timelines.
//
// Today a plan uses one device for each module. The types carry more:
// several variants of a module, several devices, batches of different size.
//
// Package scheduler imports hal, ops, graph and graph/passes; never a driver.
package scheduler
