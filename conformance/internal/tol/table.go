package tol

import (
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// Rule bounds the errors of a class of operators. With u the distance of
// neighbouring numbers at 1 (of the output's type, or of the type sums are
// made in), an element of value w in a tensor of root mean square r may be off
// by
//
//	Units*u(output)*|w| + (Sum + Growth*sqrt(K))*u(sums)*max(|w|, r)
//
// where K is the number of terms of its sum.
type Rule struct {
	Units, Sum, Growth float64
	// Codes bounds the error of integers that stand for reals, in steps.
	Codes int64
	// Why is the reason, for readers of the table and of reports.
	Why string
}

// Table holds the rules by class.
var Table = map[ops.Class]Rule{
	ops.Exact: {Why: "data movement and integer arithmetic have one right answer"},
	ops.Rounded: {Units: 1,
		Why: "one operation of IEEE 754 is off by half a unit; a second half allows for a result that is computed wider and rounded twice"},
	ops.Approximate: {Units: 8,
		Why: "polynomials for exp, tanh or erf in the working precision lose up to three bits; in narrower types they are computed wider and rounded once"},
	ops.Contraction: {Units: 1, Sum: 8, Growth: 3,
		Why: "the rounding errors of a sum are independent, so that they grow as the square root of its length; three times that is ten standard deviations"},
	ops.Quantized: {Units: 8, Sum: 8, Growth: 3, Codes: 1,
		Why: "a real near the middle between two codes falls to either side"},
}

// Reasons that several operators share.
const (
	minusOne = "around 0 it is a difference of exp(x) and 1, which is off by a unit of 1"
	plusOne  = "for negative numbers it is the logarithm of little more than 1, which is off by a unit of 1"
	corner   = "at the lower corner it is a difference of two numbers, which is off by a unit of them"
	atZero   = "around 0 it is made of numbers that differ little"
	zeros    = "around its zeros the error is that of a number of ordinary size"
)

// Operators holds what single operators need beyond their class: each figure is
// the larger of both.
var Operators = map[string]Rule{
	"Softmax": {Units: 48,
		Why: "the difference to the largest element, which may be 40, is rounded before exp turns its error into a relative one"},
	"Gelu": {Sum: 2,
		Why: "for negative numbers it is x times a difference of nearly equal numbers, which is off by a unit of them"},
	"Elu": {Sum: 2, Why: minusOne}, "Celu": {Sum: 2, Why: minusOne}, "Selu": {Sum: 2, Why: minusOne},
	"Softplus": {Sum: 2, Why: plusOne}, "Mish": {Sum: 2, Why: plusOne},
	"HardSigmoid": {Sum: 1, Why: corner}, "HardSwish": {Sum: 1, Why: corner},
	"Sinh": {Sum: 2, Why: atZero}, "Asinh": {Sum: 2, Why: atZero}, "Atanh": {Sum: 2, Why: atZero},
	"Sin": {Sum: 2, Why: zeros}, "Cos": {Sum: 2, Why: zeros}, "Tan": {Units: 16, Sum: 2, Why: zeros + "; and it is a quotient of two such"}, "Log": {Sum: 2, Why: zeros},
	"Pow": {Units: 32,
		Why: "y*log(x), which may be 40, is rounded before exp turns its error into a relative one"},
	"Sum":  {Sum: 4, Why: "each addition rounds, and what is left may be less than what was added"},
	"Mean": {Sum: 4, Why: "as for Sum"},
	"RotaryEmbedding": {Sum: 2,
		Why: "a difference of two products, which may be less than both"},
}

// narrow is Units for types that are narrower than what devices compute in:
// however the result was made, it was rounded once or twice at the end.
const narrow = 1.5

// Steps widens a rule for results that were computed in several operators,
// each of which rounds, instead of by one.
const Steps = 4

// ulp is the distance from 1 to the next number.
func ulp(e enc.Elem) float64 {
	switch e {
	case enc.F64:
		return 0x1p-52
	case enc.F16:
		return 0x1p-10
	case enc.BF16:
		return 0x1p-7
	}
	return 0x1p-23
}

// least is the smallest number of a type: the smallest normal one for a device
// that flushes what is below.
func least(e enc.Elem, flush bool) float64 {
	switch {
	case e == enc.F64:
		return 0x1p-1022 // attributes and tables of float64 operators are coarser anyway
	case e == enc.F16 && !flush:
		return 0x1p-24
	case e == enc.F16:
		return 0x1p-14
	case e == enc.BF16 && !flush:
		return 0x1p-133
	case flush, e == enc.BF16:
		return 0x1p-126
	}
	return 0x1p-149
}

// Judge compares results of one kind.
type Judge struct {
	Class ops.Class
	// K is the number of terms of the longest sum, at least 1.
	K int64
	// Nodes is how many operators lie one behind the other; 1 for a single
	// operator. Their errors add up as independent ones do.
	Nodes int
	// Stepwise results were computed by several operators for one.
	Stepwise bool
	// Accumulate is the type the device makes sums in; f32 unless it says
	// otherwise. Flush tells that it has no denormal numbers.
	Accumulate enc.Elem
	Flush      bool
	// Narrowest is the narrowest floating-point type of any value on the way,
	// Invalid if that is the output's.
	Narrowest enc.Elem
	// Operators are those on the way that have rules of their own.
	Operators []string
}

// rule is that of the class and of the operators.
func (j Judge) rule() Rule {
	r := Table[j.Class]
	for _, name := range j.Operators {
		o := Operators[name]
		r.Units, r.Sum, r.Growth, r.Codes = max(r.Units, o.Units), max(r.Sum, o.Sum), max(r.Growth, o.Growth), max(r.Codes, o.Codes)
	}
	return r
}

// limits returns the factors of |w| and of max(|w|, r), and the least error.
func (j Judge) limits(out enc.Elem) (own, common, floor float64) {
	r := j.rule()
	acc := ulp(enc.F32)
	switch {
	case j.Accumulate == enc.F16 || j.Accumulate == enc.BF16:
		acc = ulp(j.Accumulate)
	case j.Accumulate == enc.F64 && out == enc.F64:
		acc = ulp(enc.F64)
	}
	u := ulp(out)
	if out == enc.F64 && j.Class >= ops.Approximate {
		u = ulp(enc.F32) // attributes are float32, and few devices have more
	}
	units := r.Units
	if j.Class >= ops.Approximate && (out == enc.F16 || out == enc.BF16) {
		units = narrow
	}
	own = units * u
	if j.Narrowest.Valid() && ulp(j.Narrowest) > ulp(enc.F32) {
		common += 4 * ulp(j.Narrowest) // inner results are rounded to it
	}
	common += (r.Sum + r.Growth*math.Sqrt(float64(max(1, j.K)))) * acc
	if r.Sum == 0 && r.Growth == 0 {
		common = 0
	}
	if j.Stepwise {
		own, common = own*Steps, max(common, own)*Steps
	}
	if j.Nodes > 1 {
		n := math.Sqrt(float64(j.Nodes))
		own, common = own*n, max(common, own)*n
	}
	if j.Class != ops.Exact {
		floor = least(out, j.Flush)
		if j.Class >= ops.Approximate {
			floor *= 2 // rounded on the way, too
		}
	}
	return own, common, floor
}
