// Package kern holds the CPU kernels: the small functions that run for
// microseconds over slices, in one table per instruction-set tier, and the
// choice among tiers. Packages below it build whole operators from the table:
//
//	feat    what the processor can do; names of tiers
//	pool    fork/join worker pool
//	gemm    matrix products: float32 (packed panels), float64, integers, quantized weights
//	attn    fused attention
//	norm    softmax, layer and RMS normalisation rows, rotary embedding rows
//	vec     elementwise operators, comparisons, casts
//	reduce  sums, means, extrema, arg-extrema
//	conv    convolution and pooling
//	move    transposition, gathering and other copies
//	half    float16 and bfloat16
//	quant   affine quantization and GGUF blocks
//
// Nothing here knows a graph, an operator schema or a driver: shapes and
// strides arrive as integers, memory as slices, scratch from the caller.
// Imports: the standard library, golang.org/x/sys/cpu, and each other.
//
// # Tiers
//
// Each kernel has a portable Go form, which is the reference, and may have
// assembly forms. Build tag noasm leaves the portable ones only. Select
// returns the table of the best tier that the processor has and that passes a
// known-answer check of every kernel in it; a tier that fails is disabled and
// Report says why. HEDDLE_CPU=generic|neon|avx2 asks for one tier by name.
//
// # Rules for kernels
//
// Assembly is never preempted, so one call lasts at most about 100 µs: long
// vectors are cut by the Go side. Calls with many operands take one pointer to
// a parameter struct, whose offsets the assembler reads from go_asm.h. NaN and
// infinities follow IEEE 754; denormals are kept, in and out, unless a
// function says otherwise.
package kern
