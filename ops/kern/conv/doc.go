// Package conv holds convolution and pooling over one to three spatial axes,
// in ONNX's layout (batch, channel, spatial axes).
//
// The float32 convolution packs patches of the input straight into the panels
// of package gemm, a bounded number at a time, and multiplies the weights with
// them: there is no im2col matrix. It imports the standard library and the
// packages of ops/kern.
package conv
