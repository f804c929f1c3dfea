package kern

import "math"

// Scalar float32 functions behind the portable kernels. The assembly tiers
// evaluate the same formulas; only the use of fused multiply-adds differs.
// Polynomials are minimax fits made for this package on the stated intervals.

const (
	log2e = 1.44269504088896340736
	// ln 2 in two parts: the first has few bits, so its product with a small
	// integer is exact without a fused multiply-add.
	ln2Hi = 0.693359375
	ln2Lo = -2.12194440054690583e-4

	// Adding roundMagic to |x| < 2^22 leaves x, rounded to the nearest integer,
	// in the low bits.
	roundMagic = 0x1.8p23

	// e^x overflows above expMax. Below expMin even the smallest denormal is
	// more than twice the result.
	expMax = 88.7228394
	expMin = -104.0

	// (e^r - 1 - r)/r^2 on |r| <= ln(2)/2, relative error of e^r 4e-10.
	expC0 = 0.500000009571
	expC1 = 0.16666518307
	expC2 = 0.0416662041248
	expC3 = 0.00836895342474
	expC4 = 0.00139506030429

	// (tanh x - x)/x^3 in x^2 on |x| <= 0.65.
	tanhC0    = -0.333333296138
	tanhC1    = 0.133331579005
	tanhC2    = -0.0539405635591
	tanhC3    = 0.0216663485602
	tanhC4    = -0.00809197161333
	tanhC5    = 0.00206466762935
	tanhSmall = 0.625

	// erf(x)/x in x^2 on |x| <= 1.
	erfC0    = 1.12837916591
	erfC1    = -0.376126271361
	erfC2    = 0.112836001782
	erfC3    = -0.0268544446751
	erfC4    = 0.00518953550108
	erfC5    = -0.000802084273305
	erfC6    = 7.88912443172e-5
	erfSmall = 1

	// e^(z^2) erfc(z) / t in t = 1/(1+z/2), for 0 <= z <= 10, relative error
	// 4.3e-8.
	erfcC0 = 0.282086417892
	erfcC1 = 0.282375308098
	erfcC2 = 0.24310376513
	erfcC3 = 0.20268686416
	erfcC4 = -0.0266256683728
	erfcC5 = 0.278067188815
	erfcC6 = -0.487199947899
	erfcC7 = 0.284574999345
	erfcC8 = -0.0590689700504

	sqrtHalf = 0.70710678118654752440
	// The tanh approximation x/2*(1+tanh(a*(x+b*x^3))) is x*sigmoid(2a*x+2ab*x^3).
	geluA = 2 * 0.79788456080286535588
	geluB = geluA * 0.044715
)

func exp32(x float32) float32 {
	switch {
	case x != x:
		return x
	case x > expMax:
		return float32(math.Inf(1))
	case x < expMin:
		return 0
	}
	n := x*log2e + roundMagic
	n -= roundMagic
	r := x - n*ln2Hi - n*ln2Lo
	p := expC0 + r*(expC1+r*(expC2+r*(expC3+r*expC4)))
	y := 1 + (r + r*r*p)
	// 2^n in two factors, since n reaches 128 and -150.
	i := int32(n)
	half := i >> 1
	return y * pow2(half) * pow2(i-half)
}

// pow2 is 2^n for -126 <= n <= 127.
func pow2(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

func sigmoid32(x float32) float32 {
	e := exp32(-abs32(x)) // never overflows
	if x >= 0 {
		return 1 / (1 + e)
	}
	return e / (1 + e) // also NaN
}

func tanh32(x float32) float32 {
	a := abs32(x)
	if a <= tanhSmall {
		u := x * x
		return x + x*u*(tanhC0+u*(tanhC1+u*(tanhC2+u*(tanhC3+u*(tanhC4+u*tanhC5)))))
	}
	e := exp32(-2 * a)
	return copysign32((1-e)/(1+e), x)
}

// erfc32 is erfc(z) for z >= 0, given e = e^(-z^2).
func erfc32(z, e float32) float32 {
	t := 1 / (1 + 0.5*z)
	p := erfcC0 + t*(erfcC1+t*(erfcC2+t*(erfcC3+t*(erfcC4+t*(erfcC5+t*(erfcC6+t*(erfcC7+t*erfcC8)))))))
	return e * t * p
}

func erf32(x float32) float32 {
	a := abs32(x)
	if a <= erfSmall {
		u := x * x
		return x * (erfC0 + u*(erfC1+u*(erfC2+u*(erfC3+u*(erfC4+u*(erfC5+u*erfC6))))))
	}
	a = min(a, 10) // beyond, erf is 1 to the last bit; keeps the polynomial in range
	return copysign32(1-erfc32(a, exp32(-a*a)), x)
}

func silu32(x float32) float32 { return x * sigmoid32(x) }

func geluTanh32(x float32) float32 { return x * sigmoid32(x*(geluA+geluB*x*x)) }

func gelu32(x float32) float32 {
	z := abs32(x) * sqrtHalf
	q := 0.5 * erfc32(z, exp32(-0.5*x*x))
	if x >= 0 {
		q = 1 - q
	}
	return x * q
}

func abs32(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

func copysign32(x, sign float32) float32 {
	return math.Float32frombits(math.Float32bits(x)&^(1<<31) | math.Float32bits(sign)&(1<<31))
}
