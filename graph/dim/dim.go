package dim

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Dim is an affine expression: an integer plus a sum of integer multiples of
// symbols and of floor divisions of affine expressions. The zero value is the
// dimension 0.
//
// Arithmetic that leaves the int64 range, or that is not affine, gives an
// invalid Dim; Valid tells, and every operation on it stays invalid. That
// keeps long expressions readable and one check at the end sufficient.
type Dim struct {
	k     int64
	terms []term // sorted by atom.key, coefficients never 0
	err   string // not empty: invalid, and why
}

type term struct {
	coef int64
	atom atom
}

// atom is a symbol, or floor(num/den) where sym is empty.
type atom struct {
	sym string
	num *Dim
	den int64
}

func (a atom) key() string {
	if a.sym != "" {
		return a.sym
	}
	n := a.num.String()
	if t := a.num.terms; len(t) != 1 || t[0].coef != 1 || t[0].atom.sym == "" || a.num.k != 0 {
		n = "(" + n + ")" // all but a bare symbol: -a/16 would read as -(a/16)
	}
	return n + "/" + strconv.FormatInt(a.den, 10)
}

// Of returns the constant n.
func Of(n int64) Dim { return Dim{k: n} }

// Ofs returns the constants ns.
func Ofs(ns ...int64) []Dim {
	out := make([]Dim, len(ns))
	for i, n := range ns {
		out[i] = Of(n)
	}
	return out
}

// Sym returns the symbol called name: a letter or underscore, then letters,
// digits, underscores and dots.
func Sym(name string) Dim {
	if !ValidName(name) {
		return Dim{err: fmt.Sprintf("%q is not a symbol name", name)}
	}
	return Dim{terms: []term{{1, atom{sym: name}}}}
}

// ValidName reports whether name can be a symbol: [A-Za-z_][A-Za-z0-9_.]*,
// at most 64 bytes.
func ValidName(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '.' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

// Valid returns nil, or why d has no value (overflow, not affine, bad name).
func (d Dim) Valid() error {
	if d.err != "" {
		return errors.New("dim: " + d.err)
	}
	return nil
}

// Const returns the value of d and true when d has no symbols.
func (d Dim) Const() (int64, bool) {
	if d.err != "" || len(d.terms) > 0 {
		return 0, false
	}
	return d.k, true
}

// Is reports whether d is the constant n.
func (d Dim) Is(n int64) bool { return d.err == "" && len(d.terms) == 0 && d.k == n }

// Equal reports whether d and e have the same normal form. Invalid dimensions
// equal nothing.
func (d Dim) Equal(e Dim) bool {
	if d.err != "" || e.err != "" || d.k != e.k || len(d.terms) != len(e.terms) {
		return false
	}
	for i := range d.terms {
		a, b := d.terms[i], e.terms[i]
		if a.coef != b.coef || a.atom.sym != b.atom.sym || a.atom.den != b.atom.den {
			return false
		}
		if a.atom.sym == "" && !a.atom.num.Equal(*b.atom.num) {
			return false
		}
	}
	return true
}

const maxTerms = 64 // an expression with more is a mistake or an attack

// Add returns d + e.
func (d Dim) Add(e Dim) Dim {
	if d.err != "" {
		return d
	}
	if e.err != "" {
		return e
	}
	k, ok := addOK(d.k, e.k)
	if !ok {
		return overflow("+")
	}
	out := Dim{k: k}
	i, j := 0, 0
	for i < len(d.terms) || j < len(e.terms) {
		var c int
		switch {
		case i == len(d.terms):
			c = 1
		case j == len(e.terms):
			c = -1
		default:
			c = strings.Compare(d.terms[i].atom.key(), e.terms[j].atom.key())
		}
		switch {
		case c < 0:
			out.terms = append(out.terms, d.terms[i])
			i++
		case c > 0:
			out.terms = append(out.terms, e.terms[j])
			j++
		default:
			s, ok := addOK(d.terms[i].coef, e.terms[j].coef)
			if !ok {
				return overflow("+")
			}
			if s != 0 {
				out.terms = append(out.terms, term{s, d.terms[i].atom})
			}
			i, j = i+1, j+1
		}
	}
	if len(out.terms) > maxTerms {
		return Dim{err: "expression has too many terms"}
	}
	return out
}

// AddInt returns d + n.
func (d Dim) AddInt(n int64) Dim { return d.Add(Of(n)) }

// Sub returns d - e.
func (d Dim) Sub(e Dim) Dim { return d.Add(e.MulInt(-1)) }

// MulInt returns d * n.
func (d Dim) MulInt(n int64) Dim {
	if d.err != "" || n == 1 {
		return d
	}
	if n == 0 {
		return Dim{}
	}
	k, ok := mulOK(d.k, n)
	if !ok {
		return overflow("*")
	}
	out := Dim{k: k, terms: make([]term, len(d.terms))}
	for i, t := range d.terms {
		c, ok := mulOK(t.coef, n)
		if !ok {
			return overflow("*")
		}
		out.terms[i] = term{c, t.atom}
	}
	return out
}

// Mul returns d * e, which is affine only when one of them is a constant.
func (d Dim) Mul(e Dim) Dim {
	if d.err != "" {
		return d
	}
	if n, ok := e.Const(); ok {
		return d.MulInt(n)
	}
	if n, ok := d.Const(); ok {
		return e.MulInt(n)
	}
	if e.err != "" {
		return e
	}
	return Dim{err: fmt.Sprintf("(%s)*(%s) is not affine", d, e)}
}

// Div returns floor(d / n) for n > 0. What divides exactly is taken out of
// the division: (4*a+6)/4 is a+1 (6/4 rounds to 1, and 4*a stays whole).
func (d Dim) Div(n int64) Dim {
	if d.err != "" || n == 1 {
		return d
	}
	if n <= 0 {
		return Dim{err: fmt.Sprintf("division by %d", n)}
	}
	// floor((n*q + r)/n) = q + floor(r/n)
	quot := Dim{k: floorDiv(d.k, n)}
	rest := Dim{k: d.k - quot.k*n}
	for _, t := range d.terms {
		if t.coef%n == 0 {
			quot.terms = append(quot.terms, term{t.coef / n, t.atom})
		} else {
			rest.terms = append(rest.terms, t)
		}
	}
	if len(rest.terms) == 0 {
		return quot
	}
	g := uint64(n)
	for _, t := range rest.terms {
		g = gcd(g, abs64(t.coef))
	}
	if g > 1 {
		// floor((g*x + r)/(g*m)) = floor((x + floor(r/g))/m)
		num := Dim{k: floorDiv(rest.k, int64(g))}
		for _, t := range rest.terms {
			num.terms = append(num.terms, term{t.coef / int64(g), t.atom})
		}
		return quot.Add(num.Div(n / int64(g)))
	}
	if len(rest.terms) == 1 && rest.terms[0].coef == 1 && rest.terms[0].atom.sym == "" {
		// floor((floor(x/a)+k)/b) = floor((x+k*a)/(a*b))
		a := rest.terms[0].atom
		den, ok := mulOK(a.den, n)
		k, ok2 := mulOK(rest.k, a.den)
		if ok && ok2 {
			return quot.Add(a.num.AddInt(k).Div(den))
		}
	}
	if depth(rest) > 8 {
		return Dim{err: "divisions are nested too deeply"}
	}
	r := rest
	return quot.Add(Dim{terms: []term{{1, atom{num: &r, den: n}}}})
}

// CeilDiv returns ceil(d / n) for n > 0.
func (d Dim) CeilDiv(n int64) Dim {
	if n <= 0 {
		return Dim{err: fmt.Sprintf("division by %d", n)}
	}
	return d.AddInt(n - 1).Div(n)
}

func depth(d Dim) int {
	m := 0
	for _, t := range d.terms {
		if t.atom.num != nil {
			m = max(m, 1+depth(*t.atom.num))
		}
	}
	return m
}

// String returns the normal form, which Parse reads back.
func (d Dim) String() string {
	if d.err != "" {
		return "invalid(" + d.err + ")"
	}
	var b strings.Builder
	for i, t := range d.terms {
		c := t.coef
		switch {
		case c < 0:
			b.WriteByte('-')
		case i > 0:
			b.WriteByte('+')
		}
		key := t.atom.key()
		if u := abs64(c); u != 1 {
			if t.atom.sym == "" {
				// 2*(x/3) would read as (2*x)/3 without the parentheses.
				key = "(" + key + ")"
			}
			b.WriteString(key)
			b.WriteByte('*')
			b.WriteString(strconv.FormatUint(u, 10))
		} else {
			if c < 0 && t.atom.sym == "" {
				key = "(" + key + ")"
			}
			b.WriteString(key)
		}
	}
	if d.k != 0 || len(d.terms) == 0 {
		if d.k >= 0 && len(d.terms) > 0 {
			b.WriteByte('+')
		}
		b.WriteString(strconv.FormatInt(d.k, 10))
	}
	return b.String()
}

// Symbols returns the names that d mentions, sorted, each once.
func (d Dim) Symbols() []string {
	var out []string
	d.collect(&out)
	slices.Sort(out)
	return slices.Compact(out)
}

func (d Dim) collect(out *[]string) {
	for _, t := range d.terms {
		if t.atom.sym != "" {
			*out = append(*out, t.atom.sym)
		} else {
			t.atom.num.collect(out)
		}
	}
}

// Binding gives symbols their values.
type Binding map[string]int64

// Eval returns the value of d under b. A symbol without a value, an overflow
// or an invalid d is an error.
func (d Dim) Eval(b Binding) (int64, error) {
	if d.err != "" {
		return 0, d.Valid()
	}
	v := d.k
	for _, t := range d.terms {
		var a int64
		if t.atom.sym != "" {
			n, ok := b[t.atom.sym]
			if !ok {
				return 0, fmt.Errorf("dim: symbol %q has no value", t.atom.sym)
			}
			a = n
		} else {
			n, err := t.atom.num.Eval(b)
			if err != nil {
				return 0, err
			}
			a = floorDiv(n, t.atom.den)
		}
		p, ok := mulOK(t.coef, a)
		if ok {
			v, ok = addOK(v, p)
		}
		if !ok {
			return 0, fmt.Errorf("dim: %s overflows", d)
		}
	}
	return v, nil
}

// Subst replaces the symbols that b names by their values.
func (d Dim) Subst(b Binding) Dim {
	if d.err != "" {
		return d
	}
	out := Of(d.k)
	for _, t := range d.terms {
		var a Dim
		if t.atom.sym != "" {
			if n, ok := b[t.atom.sym]; ok {
				a = Of(n)
			} else {
				a = Sym(t.atom.sym)
			}
		} else {
			a = t.atom.num.Subst(b).Div(t.atom.den)
		}
		out = out.Add(a.MulInt(t.coef))
	}
	return out
}

// Symbol bounds a name: Min <= value <= Max. Buckets, if any, are the values
// that devices with static shapes compile for, ascending and within bounds.
type Symbol struct {
	Name     string
	Min, Max int64
	Buckets  []int64
}

// Valid returns nil, or what is wrong with the name, bounds or buckets.
func (s Symbol) Valid() error {
	if !ValidName(s.Name) {
		return fmt.Errorf("dim: %q is not a symbol name", s.Name)
	}
	if s.Min < 0 || s.Max < s.Min {
		return fmt.Errorf("dim: symbol %s has bounds %d..%d; want 0 <= min <= max", s.Name, s.Min, s.Max)
	}
	for i, n := range s.Buckets {
		if n < s.Min || n > s.Max || i > 0 && n <= s.Buckets[i-1] {
			return fmt.Errorf("dim: symbol %s has bucket %d; want ascending values in %d..%d", s.Name, n, s.Min, s.Max)
		}
	}
	return nil
}

// Bounds returns the least and greatest value of d over the symbols' ranges.
// Each term is bounded by itself, so the range may be wider than the truth
// when a symbol occurs both inside and outside of a division.
func (d Dim) Bounds(syms []Symbol) (lo, hi int64, err error) {
	if d.err != "" {
		return 0, 0, d.Valid()
	}
	lo, hi = d.k, d.k
	for _, t := range d.terms {
		var a, b int64
		if t.atom.sym != "" {
			i := slices.IndexFunc(syms, func(s Symbol) bool { return s.Name == t.atom.sym })
			if i < 0 {
				return 0, 0, fmt.Errorf("dim: symbol %q is not declared", t.atom.sym)
			}
			a, b = syms[i].Min, syms[i].Max
		} else {
			if a, b, err = t.atom.num.Bounds(syms); err != nil {
				return 0, 0, err
			}
			a, b = floorDiv(a, t.atom.den), floorDiv(b, t.atom.den)
		}
		p, ok1 := mulOK(t.coef, a)
		q, ok2 := mulOK(t.coef, b)
		if t.coef < 0 {
			p, q = q, p
		}
		var ok3, ok4 bool
		lo, ok3 = addOK(lo, p)
		hi, ok4 = addOK(hi, q)
		if !ok1 || !ok2 || !ok3 || !ok4 {
			return 0, 0, fmt.Errorf("dim: bounds of %s overflow", d)
		}
	}
	return lo, hi, nil
}

func overflow(op string) Dim { return Dim{err: op + " leaves the int64 range"} }

func addOK(a, b int64) (int64, bool) {
	c := a + b
	return c, (c > a) == (b > 0)
}

func mulOK(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(abs64(a), abs64(b))
	neg := (a < 0) != (b < 0)
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false // MinInt64 itself is given up: nobody needs it
	}
	if neg {
		return -int64(lo), true
	}
	return int64(lo), true
}

func abs64(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func floorDiv(a, n int64) int64 {
	q := a / n
	if a%n != 0 && a < 0 {
		q--
	}
	return q
}

// Shape is a list of dimensions, outermost first. A nil Shape is a scalar's.
type Shape []Dim

// Const returns the shape as integers and true when no dimension is symbolic.
func (s Shape) Const() ([]int64, bool) {
	out := make([]int64, len(s))
	for i, d := range s {
		n, ok := d.Const()
		if !ok {
			return nil, false
		}
		out[i] = n
	}
	return out, true
}

// Equal reports whether both shapes have the same dimensions.
func (s Shape) Equal(t Shape) bool {
	return slices.EqualFunc(s, t, Dim.Equal)
}

// Eval returns the shape under b; a negative dimension is an error.
func (s Shape) Eval(b Binding) ([]int64, error) {
	out := make([]int64, len(s))
	for i, d := range s {
		n, err := d.Eval(b)
		if err != nil {
			return nil, err
		}
		if n < 0 {
			return nil, fmt.Errorf("dim: dimension %s is %d", d, n)
		}
		out[i] = n
	}
	return out, nil
}

// Subst replaces symbols in every dimension.
func (s Shape) Subst(b Binding) Shape {
	if s == nil {
		return nil
	}
	out := make(Shape, len(s))
	for i, d := range s {
		out[i] = d.Subst(b)
	}
	return out
}

// String returns the dimensions between brackets, separated by commas.
func (s Shape) String() string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = d.String()
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// Symbols returns the names in the shape, sorted, each once.
func (s Shape) Symbols() []string {
	var out []string
	for _, d := range s {
		d.collect(&out)
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// Count returns the number of elements of a constant shape, and an error
// when it is negative or leaves the int64 range.
func Count(shape []int64) (int64, error) {
	if i := slices.IndexFunc(shape, func(d int64) bool { return d < 0 }); i >= 0 {
		return 0, fmt.Errorf("dim: shape %v has a negative dimension", shape)
	}
	if slices.Contains(shape, 0) {
		return 0, nil
	}
	n := int64(1)
	for _, d := range shape {
		var ok bool
		if n, ok = mulOK(n, d); !ok {
			return 0, fmt.Errorf("dim: shape %v has more elements than fit in 64 bits", shape)
		}
	}
	return n, nil
}
