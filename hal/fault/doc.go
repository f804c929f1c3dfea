// Package fault wraps a driver and makes it wrong, slow, lossy, hanging or
// crashing on command: each [Kind] is a defect that vendors have shipped.
//
//	bad := fault.Driver(cpu.Driver{}, fault.Fault{Kind: fault.Bias, Op: "MatMul"})
//	dev, err := hal.NewRegistry(bad).Open(ctx, "cpu")
//
// It proves that a test suite notices what it is there to notice, and that
// programs survive what devices do. A [Fault] says where it strikes (an
// operator, a node, the n-th call, a share of the calls drawn from a seed); until then, and
// everywhere else, the wrapped driver answers. Without faults the wrapper
// only runs batches one after the other, each behind what it waits for on the
// host, and changes nothing.
//
// What a graph computes inside is out of reach from here: faults of numbers
// strike the outputs and states of executables whose graph has the operator,
// which for a graph of one operator is the same.
//
// Some kinds end the process, hang or leak for good. Those belong into a
// process of their own: see hal/isolate.
//
// Package fault imports hal/driver and graph with dim and enc.
package fault
