// Package oracle evaluates graphs by the book: every operator in float64,
// written so that it can be checked by reading it beside the ONNX
// specification. It judges all drivers, so it shares no code with any of them
// and no cleverness: it is slow.
//
// An operator receives inputs that are rounded to their element types,
// computes in float64 (integers exactly, with ONNX's wrap-around), and its
// result is rounded once. Composite operators (Attention,
// LayerNormalization, ...) round only at their end, except where ONNX itself
// prescribes the type of an intermediate result. A driver that rounds more
// often is judged by the tolerance of the operator's class in package ops.
//
// [Eval] runs a whole graph, [EvalNode] one operator, [Weight] decodes one
// weight. Values are [Tensor]s: logical numbers, whatever the encoding they
// came from.
//
// A graph may come from a hostile file: what its values would need in memory
// is checked against a limit before it is allocated, contexts are honoured
// inside of long loops, and every failure is an error that names the node.
//
// Package oracle imports graph, graph/dim and graph/enc, never a kernel or
// driver; its tests hold it against the schemas of package ops. Its functions
// are safe for concurrent use; tensors are immutable once made.
package oracle
