// Package ops gives operators their meaning: for each, its inputs, outputs
// and attributes, how the types of the outputs follow, what it costs, how it
// decomposes into simpler operators, and how exactly a device must compute it.
//
// An operator means what the ONNX operator of that name means, at the version
// stated in its [Op], the newest up to operator set 28. Importers bring older
// versions to that form; in particular axes, split lengths and shapes are
// operands, never attributes, and must be constants, symbolic ones included.
// Operators of domain "heddle" exist where ONNX lacks one; each has a
// decomposition into ONNX operators. Each family of operators has one file.
//
// Inference works on symbolic dimensions. A shape that cannot be told for all
// values of the symbols within their bounds is an error. A limit that only
// some of the values break, such as a kernel longer than the smallest picture,
// is found when the symbols are bound to them.
//
// Package ops has no kernels: the reference evaluation is in ops/oracle, the
// CPU's in ops/kern. It imports graph and its sub-packages dim and enc. The
// registry is filled when the program starts and is read-only afterwards, so
// all functions are safe for concurrent use.
package ops
