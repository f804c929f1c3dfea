// Package graph is the intermediate representation: a model, or a part of
// one, as typed values joined by operator nodes.
//
// Operators mean what the ONNX operators of the same name mean; package graph
// knows their names only, and asks a [Schemas] (package ops) for meanings. A
// [Type] has symbolic dimensions (package dim) and an encoding (package enc),
// so a quantized weight is an ordinary operand. Weights are references into
// named sources and are never copied to describe a model. State, such as a
// KV cache, is threaded through the nodes: each update consumes one version
// and yields the next.
//
// Graphs are made by a [Builder] or a parser, checked by [Verify] and never
// changed afterwards; rewrites (package passes) make new ones. They have a
// text form (Print, Parse), a flat binary form (Marshal, Unmarshal) and a
// content hash. ReadWeight gives the bytes of a weight in logical order,
// whatever view of its source it is.
//
// Package graph imports only graph/dim and graph/enc.
package graph
