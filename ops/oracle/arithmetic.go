package oracle

import (
	"errors"
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
)

var errDivZero = errors.New("integer division by zero")

// arithmeticOps are the operators with numpy broadcasting that compute
// numbers from numbers.
var arithmeticOps = map[string]evaluator{
	"Add": elementwise(arith{
		func(a, b float64) float64 { return a + b },
		func(a, b int64) (int64, error) { return a + b, nil },
		func(a, b uint64) (uint64, error) { return a + b, nil }}),
	"Sub": elementwise(arith{
		func(a, b float64) float64 { return a - b },
		func(a, b int64) (int64, error) { return a - b, nil },
		func(a, b uint64) (uint64, error) { return a - b, nil }}),
	"Mul": elementwise(arith{
		func(a, b float64) float64 { return a * b },
		func(a, b int64) (int64, error) { return a * b, nil },
		func(a, b uint64) (uint64, error) { return a * b, nil }}),
	// Integers truncate towards zero; the one quotient that does not fit,
	// -min/1, wraps around.
	"Div": elementwise(arith{
		func(a, b float64) float64 { return a / b },
		func(a, b int64) (int64, error) {
			if b == 0 {
				return 0, errDivZero
			}
			return a / b, nil
		},
		func(a, b uint64) (uint64, error) {
			if b == 0 {
				return 0, errDivZero
			}
			return a / b, nil
		}}),
	"Mod":  mod,
	"Pow":  pow,
	"Max":  variadic(maxArith),
	"Min":  variadic(minArith),
	"Sum":  variadic(addArith),
	"Mean": mean,
	"PRelu": elementwise(arith{
		func(a, b float64) float64 {
			if a < 0 {
				return a * b
			}
			return a
		},
		func(a, b int64) (int64, error) {
			if a < 0 {
				return a * b, nil
			}
			return a, nil
		},
		func(a, _ uint64) (uint64, error) { return a, nil }}),
	"Clip":   clip,
	"SwiGLU": swiglu,
}

// arith is one binary operation on each kind of number. Integer results are
// wrapped to their type by the caller.
type arith struct {
	f func(a, b float64) float64
	i func(a, b int64) (int64, error)
	u func(a, b uint64) (uint64, error)
}

// Max and Min propagate NaN, as numpy's maximum and minimum do.
var (
	maxArith = arith{
		func(a, b float64) float64 { return max(a, b) },
		func(a, b int64) (int64, error) { return max(a, b), nil },
		func(a, b uint64) (uint64, error) { return max(a, b), nil }}
	minArith = arith{
		func(a, b float64) float64 { return min(a, b) },
		func(a, b int64) (int64, error) { return min(a, b), nil },
		func(a, b uint64) (uint64, error) { return min(a, b), nil }}
	addArith = arith{
		func(a, b float64) float64 { return a + b },
		func(a, b int64) (int64, error) { return a + b, nil },
		func(a, b uint64) (uint64, error) { return a + b, nil }}
)

// apply computes element i of out from element j of a and k of b, all of one
// type.
func (o arith) apply(out *Tensor, i int, a *Tensor, j int, b *Tensor, k int) error {
	switch {
	case out.F != nil:
		out.F[i] = o.f(a.F[j], b.F[k])
	case out.U != nil:
		u, err := o.u(a.U[j], b.U[k])
		if err != nil {
			return err
		}
		out.U[i] = wrapU(out.Elem, u)
	default:
		n, err := o.i(a.I[j], b.I[k])
		if err != nil {
			return err
		}
		out.I[i] = wrapI(out.Elem, n)
	}
	return nil
}

// combine applies an operation to two tensors of one type.
func (x *node) combine(o arith, a, b *Tensor) (*Tensor, error) {
	shape, offs, err := x.broadcast(a, b)
	if err != nil {
		return nil, err
	}
	out, err := x.make(a.Elem, shape)
	if err != nil {
		return nil, err
	}
	for i := range out.Len() {
		if err := o.apply(out, i, a, offs[0][i], b, offs[1][i]); err != nil {
			return nil, err
		}
	}
	return out, x.step(out.Len())
}

func elementwise(o arith) evaluator {
	return func(x *node) ([]*Tensor, error) {
		return one(x.combine(o, x.arg(0), x.arg(1)))
	}
}

// variadic folds an operation over all inputs.
func variadic(o arith) evaluator {
	return func(x *node) ([]*Tensor, error) { return one(x.fold(o)) }
}

func (x *node) fold(o arith) (*Tensor, error) {
	out := x.arg(0)
	for _, t := range x.args[1:] {
		var err error
		if out, err = x.combine(o, out, t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func mean(x *node) ([]*Tensor, error) {
	sum, err := x.fold(addArith)
	if err != nil {
		return nil, err
	}
	out, err := x.make(sum.Elem, sum.Shape)
	if err != nil {
		return nil, err
	}
	for i, f := range sum.F {
		out.F[i] = f / float64(len(x.args))
	}
	return one(out, nil)
}

// mod has the divisor's sign (integers, fmod=0) or the dividend's (fmod=1).
func mod(x *node) ([]*Tensor, error) {
	fmod := x.flag("fmod", 0)
	return elementwise(arith{
		func(a, b float64) float64 {
			r := math.Mod(a, b)
			if !fmod && r != 0 && (r < 0) != (b < 0) {
				r += b
			}
			return r
		},
		func(a, b int64) (int64, error) {
			if b == 0 {
				return 0, errDivZero
			}
			r := a % b
			if !fmod && r != 0 && (r < 0) != (b < 0) {
				r += b
			}
			return r, nil
		},
		func(a, b uint64) (uint64, error) {
			if b == 0 {
				return 0, errDivZero
			}
			return a % b, nil
		}})(x)
}

// pow gives the base's type, whatever the exponent's. Powers of integers with
// exponents that are integers and not negative are exact and wrap around; all
// others are computed in float64 and truncated.
func pow(x *node) ([]*Tensor, error) {
	a, b := x.arg(0), x.arg(1)
	shape, offs, err := x.broadcast(a, b)
	if err != nil {
		return nil, err
	}
	out, err := x.make(a.Elem, shape)
	if err != nil {
		return nil, err
	}
	for i := range out.Len() {
		j, k := offs[0][i], offs[1][i]
		e, whole := b.natural(k)
		switch {
		case out.F != nil:
			out.F[i] = math.Pow(a.F[j], b.float(k))
		case whole && out.U != nil:
			out.U[i] = wrapU(out.Elem, intPow(a.U[j], e))
		case whole:
			out.I[i] = wrapI(out.Elem, intPow(a.I[j], e))
		default:
			out.setFloat(i, math.Pow(a.float(j), b.float(k)))
		}
	}
	return one(out, x.step(out.Len()))
}

// natural returns element i of an integer tensor if it is not negative.
func (t *Tensor) natural(i int) (uint64, bool) {
	switch {
	case t.U != nil:
		return t.U[i], true
	case t.I != nil && t.I[i] >= 0:
		return uint64(t.I[i]), true
	}
	return 0, false
}

func intPow[T int64 | uint64](a T, e uint64) T {
	p := T(1)
	for ; e > 0; e >>= 1 {
		if e&1 == 1 {
			p *= a
		}
		a *= a
	}
	return p
}

// clip is min(max(x, lo), hi): where lo > hi, all become hi. NaN stays.
func clip(x *node) ([]*Tensor, error) {
	out := x.arg(0)
	var err error
	for i, o := range []arith{maxArith, minArith} {
		bound := x.arg(1 + i)
		if bound == nil {
			continue
		}
		if bound.Len() != 1 {
			return nil, errors.New("bounds must be scalars")
		}
		if out, err = x.combine(o, out, bound.with(nil)); err != nil {
			return nil, err
		}
	}
	return one(out, nil)
}

// swiglu is a*sigmoid(alpha*a)*b.
func swiglu(x *node) ([]*Tensor, error) {
	alpha := x.float("alpha", 1)
	return elementwise(arith{f: func(a, b float64) float64 { return a * sigmoid(alpha*a) * b }})(x)
}

// compareOps compare numbers or combine truth values.
var compareOps = map[string]evaluator{
	"Equal":          compare(func(c int, ordered bool) bool { return ordered && c == 0 }),
	"Less":           compare(func(c int, ordered bool) bool { return ordered && c < 0 }),
	"LessOrEqual":    compare(func(c int, ordered bool) bool { return ordered && c <= 0 }),
	"Greater":        compare(func(c int, ordered bool) bool { return ordered && c > 0 }),
	"GreaterOrEqual": compare(func(c int, ordered bool) bool { return ordered && c >= 0 }),
	"And":            elementwise(arith{i: func(a, b int64) (int64, error) { return a & b, nil }}),
	"Or":             elementwise(arith{i: func(a, b int64) (int64, error) { return a | b, nil }}),
	"Xor":            elementwise(arith{i: func(a, b int64) (int64, error) { return a ^ b, nil }}),
	"Not":            not,
	"Where":          where,
}

// compare yields bools. test is given the sign of a-b and whether the two can
// be ordered at all: NaN cannot.
func compare(test func(c int, ordered bool) bool) evaluator {
	return func(x *node) ([]*Tensor, error) {
		a, b := x.arg(0), x.arg(1)
		shape, offs, err := x.broadcast(a, b)
		if err != nil {
			return nil, err
		}
		out, err := x.make(enc.Bool, shape)
		if err != nil {
			return nil, err
		}
		for i := range out.I {
			j, k := offs[0][i], offs[1][i]
			var c int
			ordered := true
			switch {
			case a.F != nil:
				c = sign(a.F[j], b.F[k])
				ordered = a.F[j] == a.F[j] && b.F[k] == b.F[k]
			case a.U != nil:
				c = sign(a.U[j], b.U[k])
			default:
				c = sign(a.I[j], b.I[k])
			}
			out.I[i] = boolInt(test(c, ordered))
		}
		return one(out, x.step(len(out.I)))
	}
}

func sign[T int64 | uint64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func not(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	out, err := x.make(enc.Bool, t.Shape)
	if err != nil {
		return nil, err
	}
	for i, b := range t.I {
		out.I[i] = 1 - b
	}
	return one(out, nil)
}

func where(x *node) ([]*Tensor, error) {
	cond, a, b := x.arg(0), x.arg(1), x.arg(2)
	shape, offs, err := x.broadcast(cond, a, b)
	if err != nil {
		return nil, err
	}
	out, err := x.make(a.Elem, shape)
	if err != nil {
		return nil, err
	}
	for i := range out.Len() {
		if cond.I[offs[0][i]] != 0 {
			out.set(i, a, offs[1][i])
		} else {
			out.set(i, b, offs[2][i])
		}
	}
	return one(out, x.step(out.Len()))
}
