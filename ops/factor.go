package ops

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/heddle-ml/heddle/graph/dim"
)

// ratio is num/den times the symbolic dimensions over and under it.
type ratio struct {
	num, den    uint64
	over, under []dim.Dim
}

// divide returns the quotient of two products of dimensions, none of which is
// the constant 0, with everything cancelled that is equal up to a number:
// tiles*196 over tiles is 196. The products themselves need not be affine.
func divide(over, under []dim.Dim) (ratio, error) {
	r := ratio{num: 1, den: 1}
	rest := make([]dim.Dim, 0, len(under))
	for _, d := range under {
		if n, ok := d.Const(); ok {
			if err := r.scale(1, n); err != nil {
				return r, err
			}
		} else {
			rest = append(rest, d)
		}
	}
next:
	for _, d := range over {
		if n, ok := d.Const(); ok {
			if err := r.scale(n, 1); err != nil {
				return r, err
			}
			continue
		}
		for i, e := range rest {
			if p, q, ok := proportion(d, e); ok {
				if err := r.scale(p, q); err != nil {
					return r, err
				}
				rest = append(rest[:i], rest[i+1:]...)
				continue next
			}
		}
		r.over = append(r.over, d)
	}
	r.under = rest
	return r, nil
}

// scale multiplies r by p/q, both positive.
func (r *ratio) scale(p, q int64) error {
	if p <= 0 || q <= 0 {
		return fmt.Errorf("dimension %d is not positive", min(p, q))
	}
	a, b := uint64(p), uint64(q)
	g := gcd(a, r.den)
	a, r.den = a/g, r.den/g
	g = gcd(b, r.num)
	b, r.num = b/g, r.num/g
	h1, num := bits.Mul64(r.num, a)
	h2, den := bits.Mul64(r.den, b)
	if h1|h2 != 0 || num > math.MaxInt64 || den > math.MaxInt64 {
		return fmt.Errorf("the number of elements does not fit in 64 bits")
	}
	g = gcd(num, den)
	r.num, r.den = num/g, den/g
	return nil
}

// isOne reports whether everything cancelled.
func (r *ratio) isOne() bool {
	return r.num == 1 && r.den == 1 && len(r.over) == 0 && len(r.under) == 0
}

// dim returns the quotient as one dimension, if it is affine and whole.
func (r *ratio) dim() (dim.Dim, bool) {
	if len(r.under) > 0 || len(r.over) > 1 {
		return dim.Dim{}, false
	}
	d := dim.Of(int64(r.num))
	if len(r.over) == 1 {
		d = r.over[0].MulInt(int64(r.num))
	}
	q := d.Div(int64(r.den))
	return q, q.MulInt(int64(r.den)).Equal(d)
}

// proportion returns whole p and q with d*q = e*p for all values of the
// symbols, if there are any.
func proportion(d, e dim.Dim) (p, q int64, ok bool) {
	// Evaluate somewhere to guess the proportion, then compare as expressions.
	at := dim.Binding{}
	for i, s := range append(d.Symbols(), e.Symbols()...) {
		if _, seen := at[s]; !seen {
			at[s] = 1<<20 + int64(i)*7919
		}
	}
	x, err := d.Eval(at)
	y, err2 := e.Eval(at)
	if err != nil || err2 != nil || x <= 0 || y <= 0 {
		return 0, 0, false
	}
	g := int64(gcd(uint64(x), uint64(y)))
	p, q = x/g, y/g
	return p, q, d.MulInt(q).Equal(e.MulInt(p))
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// exactDiv returns d/n when that is whole for all values of the symbols.
func exactDiv(d dim.Dim, n int64) (dim.Dim, bool) {
	if n <= 0 {
		return dim.Dim{}, false
	}
	q := d.Div(n)
	return q, q.MulInt(n).Equal(d)
}

// hasZero reports whether a constant dimension is 0, so that there are no
// elements at all.
func hasZero(ds []dim.Dim) bool {
	for _, d := range ds {
		if d.Is(0) {
			return true
		}
	}
	return false
}
