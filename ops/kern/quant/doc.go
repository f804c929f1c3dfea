// Package quant converts between reals and integers with scales: ONNX's affine
// quantization of tensors, and stored weights (affine per channel or block, and
// the GGUF blocks Q8_0, Q4_0 and Q6_K), which decode row by row for a matrix
// product (gemm.Source) or an embedding look-up.
//
// Decoding is exact in float32 up to the rounding of one or two products. It
// imports the standard library and package half.
package quant
