// Package safetensors reads and writes checkpoints in the safetensors format:
// an 8-byte little-endian length, a JSON header that names every tensor with
// its type, shape and extent, and the tensors' bytes.
//
// A file is mapped, not read: opening a checkpoint of many gigabytes touches
// its header only, and [File.Bytes] returns views of the map. Opening checks
// everything a reader relies on later, so that a [Tensor] from an open file is
// always a true extent of that file: the header is strict JSON without
// duplicate names, every extent is exactly as long as its type and shape say,
// and the extents cover the data section without overlap or hole, as the
// format demands. What a header merely claims never decides how much is
// allocated.
//
// A checkpoint of several files (shards and their index) is a [Set].
//
// The package imports the standard library and models/ckpt/mapped. It knows
// nothing of models.
package safetensors
