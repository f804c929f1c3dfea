// Package gemm multiplies matrices: float32 on packed panels with the register
// tile of package kern, and portable float64 and integer products.
//
// # Packed panels
//
// A K x N matrix B is packed into panels of kern.NR (16) columns. Panel p holds
// columns 16p to 16p+15 as K rows of 16 floats, one after the other; columns
// beyond N are zero. So row k of panel p is at (p*K+k)*16. The layout is the
// same for every tier. Weights are packed once (Pack, PackF16, PackBF16,
// PackRow); a B that is itself an activation is packed on the fly, panel by
// panel, into the caller's scratch.
//
// # Results
//
// Sums are float32, in an order that depends on the shape of the product alone:
// the number of workers never changes a bit. K = 0 gives the additive terms,
// M = 0 or N = 0 does nothing.
//
// It imports the standard library and the packages of ops/kern.
package gemm
