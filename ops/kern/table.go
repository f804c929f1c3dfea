package kern

import "github.com/heddle-ml/heddle/ops/kern/feat"

// MR and NR are the rows and columns of the register tile that Tile computes,
// the same for every tier so that one packed layout serves all.
const (
	MR = 6
	NR = 16
)

// Table is the set of kernels of one tier. Tables are immutable and safe for
// concurrent use.
//
// Functions over (dst, src) compute dst[i] = f(src[i]) for i < len(dst); src
// must be at least as long as dst and is either dst itself or apart from it.
// Their results do not depend on the position within the slice, so a vector
// may be cut anywhere. Error bounds are against the exact result rounded to
// float32, over all finite inputs unless stated.
type Table struct {
	Tier feat.Tier

	// Tile is the matrix product's inner kernel.
	Tile func(*Tile)
	// Dot computes Y[j] = sum over d < D of X[d]*M[j*Stride+d], j < N.
	Dot func(*Rows)
	// Axpy adds the weighted rows: Y[d] += sum over j < N of X[j]*M[j*Stride+d], d < D.
	Axpy func(*Rows)

	Exp      func(dst, src []float32) // within 2 ulp; underflow is gradual
	Sigmoid  func(dst, src []float32) // 1/(1+e^-x), within 4 ulp
	Tanh     func(dst, src []float32) // within 4 ulp
	Erf      func(dst, src []float32) // within 4 ulp
	SiLU     func(dst, src []float32) // x*sigmoid(x), within 4 ulp for x > -87 (then the sigmoid is denormal)
	GELU     func(dst, src []float32) // x*Phi(x), relative error below 1e-6 for x > -2, 2e-5 for x > -12
	GELUTanh func(dst, src []float32) // the tanh approximation of GELU, relative error below 1e-6 for x > -2, 2e-5 for x > -12

	// ExpSum computes dst[i] = e^(src[i]-shift) and returns the sum of dst.
	ExpSum func(dst, src []float32, shift float32) float32
	// Max returns the largest element, NaN if there is one, -Inf if x is empty.
	Max func(x []float32) float32
	// Sum returns the sum of x, accumulated in several partial sums.
	Sum func(x []float32) float32
	// SumSq returns the sum of (x[i]-mean)^2, accumulated in several partial sums.
	SumSq func(x []float32, mean float32) float32
	// Scale computes dst[i] = (src[i]-shift)*scale*w[i] + b[i]; w and b may be nil
	// (1 and 0), else they are as long as dst.
	Scale func(dst, src []float32, shift, scale float32, w, b []float32)

	F16ToF32  func(dst []float32, src []uint16) // exact; NaN stays NaN
	F32ToF16  func(dst []uint16, src []float32) // to nearest even; NaN stays NaN
	BF16ToF32 func(dst []float32, src []uint16) // exact
	F32ToBF16 func(dst []uint16, src []float32) // to nearest even; NaN stays NaN
}

// Tile is one register tile of a matrix product, for r < Rows and c < NR:
//
//	C[r*LDC+c] = Alpha * (sum over k < K of A[r*LDA+k] * B[k*NR+c]) + Beta * Add[r*LDAdd+c]
//
// All NR columns are read from B and Add and written to C. Strides count
// floats. Add may be nil, may be C, and may have LDAdd 0 (one row for all).
// 1 <= Rows <= MR; K may be 0.
type Tile struct {
	A, B, C, Add    *float32
	LDA, LDC, LDAdd int
	K, Rows         int
	Alpha, Beta     float32
}

// Rows is a vector against rows of a matrix; see Table.Dot and Table.Axpy.
// Strides count floats; N and D may be 0. For Dot, X has D elements and Y has
// N; for Axpy it is the other way round.
type Rows struct {
	X, M, Y *float32
	Stride  int
	N, D    int
}
