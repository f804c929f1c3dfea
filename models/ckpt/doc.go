// Package ckpt opens checkpoints: folders in Hugging Face layout (config.json
// and safetensors, one file or shards with an index) from disk or embedded in
// the program. Tensors are found by name as [graph.Part], references into mapped files; nothing
// is read until a driver asks.
//
// Package ckpt imports graph, graph/enc and its own format, safetensors.
package ckpt
