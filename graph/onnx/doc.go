// Package onnx reads ONNX models into graphs and writes graphs as ONNX models.
//
// [Import] accepts operator sets 1 to 28. Each node is brought to the version
// that package ops states: attributes that became inputs become constants,
// operators that were replaced are written with their successors, functions
// that the model defines are inlined. Operands that decide shapes (of Reshape,
// Slice, Range, ...) must be known: they are computed from constants and from
// the shapes of inputs, symbolic dimensions included, and where they depend on
// an input's value the caller gives it ([ImportOptions].Values). That input
// is then a constant of the graph.
//
// [Export] writes any graph with standard operators: weights as initializers,
// encoded weights as codes with DequantizeLinear, symbolic integers as
// expressions of Shape, states as pairs of an input and an output. What ONNX
// has no place for (bounds of symbols, which inputs are states) goes into
// metadata, from which Import restores it. The operator set is the lowest that
// has what the graph uses, since readers lag behind: ONNX Runtime 1.30 takes
// sets up to 26. What a reader lacks is decomposed first (passes.Decompose),
// after [Stateless] if it is an update of a state.
//
// Files may be hostile. Nothing is allocated on their word alone, messages
// and functions nest to a bounded depth, and external data is read only from
// the model's own folder.
//
// Package onnx imports graph, ops, ops/oracle (to compute shape operands) and
// its own internal/pb. Its functions are safe for concurrent use.
package onnx
