// Package cpu is the driver for the processor the program runs on: the
// baseline that every other driver is judged by, and the fallback of every
// plan.
//
// Compile keeps the graph, fuses what the kernels fuse, takes apart what they
// lack, and packs weights; packed copies are shared by all executables of a
// device. A run with new symbol values first builds an instance: every shape
// is known then, memory is planned (one arena for an executable, values that
// do not live at the same time share bytes), and each node becomes one or more
// steps. Further runs with the same values only execute the steps and allocate
// nothing.
//
// Each operator has a lowering, which turns a node into steps; they are
// registered by family, one file each, in one table that also answers
// Supports. Lowerings are written for the types that have kernels: adapters
// widen f16 and bf16 to float32, and unpack 4-bit integers, around them.
//
// Arithmetic is float32 for f32, f16 and bf16 values (rounded at the end of
// each operator), float64 for f64, and exact for integers. Results depend
// neither on the number of threads nor on earlier runs. States may be kept in
// a narrower type, or as integers with a scale for each block along their last
// axis: TensorScatter encodes the rows it writes, Attention decodes those that
// are filled.
//
// What a graph or its data claim is checked before it is believed: a size that
// the machine does not have is ErrOutOfMemory before anything is allocated, an
// index out of range is an error that names the node.
//
// Options: "cpu?threads=N" bounds the workers, "cpu?tier=generic" forces an
// instruction-set tier (as does HEDDLE_CPU for the whole program).
//
// Package cpu imports graph (with its sub-packages dim, enc, passes), ops,
// ops/kern, hal and hal/driver.
package cpu
