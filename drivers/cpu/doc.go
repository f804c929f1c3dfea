// Package cpu is the driver for the processor the program runs on: the
// baseline that every other driver is judged by, and the fallback of every
// plan.
//
// Compile keeps the graph, fuses what the kernels fuse, and packs weights;
// packed copies are shared by all executables of a device. A run with new
// symbol values first builds an instance: every shape is known then, memory
// is planned (one arena for an executable, values that do not live at the
// same time share bytes), and each node becomes one or more steps. Further
// runs with the same values only execute the steps and allocate nothing.
//
// Arithmetic is float32 for f32, f16 and bf16 values (rounded at the end of
// each operator), float64 for f64, and exact for integers. Results depend neither on the number of threads
// nor on earlier runs.
//
// Options: "cpu?threads=N" bounds the workers, "cpu?tier=generic" forces an
// instruction-set tier (as does HEDDLE_CPU for the whole program).
//
// Package cpu imports graph (with its sub-packages dim, enc, passes), ops,
// ops/kern, hal and hal/driver.
package cpu
