package oracle

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/heddle-ml/heddle/graph/dim"
)

// einsumOps is Einsum: for every combination of positions along all letters,
// the product of the operands' elements there is added to the result's.
var einsumOps = map[string]evaluator{"Einsum": einsum}

func einsum(x *node) ([]*Tensor, error) {
	equation := strings.ReplaceAll(x.Attrs.Str("equation", ""), " ", "")
	left, right, explicit := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(x.args) {
		return nil, fmt.Errorf("equation %.64q has %d terms for %d operands", equation, len(terms), len(x.args))
	}
	// The dimensions of an ellipsis get letters of their own: digits, of which
	// the last dimension has 0.
	widest := 0
	for i, t := range x.args {
		if letters := strings.Replace(terms[i], "...", "", 1); letters != terms[i] {
			n := len(t.Shape) - len(letters)
			if n < 0 || n > 9 {
				return nil, fmt.Errorf("term %.32q for shape %v", terms[i], t.Shape)
			}
			widest = max(widest, n)
			terms[i] = strings.Replace(terms[i], "...", "9876543210"[10-n:], 1)
		}
	}
	dots := "9876543210"[10-widest:]
	right = strings.Replace(right, "...", dots, 1)
	if !explicit {
		right = implicit(left) // letters
		right = dots + right
	}
	size := map[byte]int64{}
	for i, t := range x.args {
		if len(terms[i]) != len(t.Shape) {
			return nil, fmt.Errorf("term %.32q for shape %v", terms[i], t.Shape)
		}
		for k, d := range t.Shape {
			c := terms[i][k]
			if old, seen := size[c]; seen && old != 1 && d != 1 && old != d {
				return nil, fmt.Errorf("letter %c stands for dimensions of %d and %d", c, old, d)
			} else if !seen || old == 1 {
				size[c] = d
			}
		}
	}
	// All letters, those of the result first.
	letters := []byte(right)
	for c := range size {
		if !slices.Contains(letters, c) {
			letters = append(letters, c)
		}
	}
	slices.Sort(letters[len(right):])
	space := make([]int64, len(letters))
	for i, c := range letters {
		n, ok := size[c]
		if !ok || slices.Contains(letters[:i], c) {
			return nil, fmt.Errorf("equation %.64q: the result has letter %c twice, or no operand has it", equation, c)
		}
		space[i] = n
	}
	if _, err := dim.Count(space); err != nil {
		return nil, err
	}
	out, err := x.make(x.args[0].Elem, space[:len(right)])
	if err != nil {
		return nil, err
	}
	// The distance of neighbours along each letter, in each operand.
	steps := make([][]int, len(x.args))
	for i, t := range x.args {
		steps[i] = make([]int, len(letters))
		own := strides(t.Shape)
		for k, d := range t.Shape {
			if d != 1 {
				steps[i][slices.Index(letters, terms[i][k])] += own[k]
			}
		}
	}
	to := strides(out.Shape)
	product, err := newTensor(out.Elem, []int64{1})
	if err != nil {
		return nil, err
	}
	times := arith{
		func(a, b float64) float64 { return a * b },
		func(a, b int64) (int64, error) { return a * b, nil },
		func(a, b uint64) (uint64, error) { return a * b, nil }}
	var bad error
	walk(space, func(index []int64) {
		if bad != nil {
			return
		}
		product.setFloat(0, 1)
		dst := 0
		for k, n := range to {
			dst += n * int(index[k])
		}
		for i, t := range x.args {
			src := 0
			for k, n := range steps[i] {
				src += n * int(index[k])
			}
			if bad = times.apply(product, 0, product, 0, t, src); bad != nil {
				return
			}
		}
		if bad = addArith.apply(out, dst, out, dst, product, 0); bad == nil {
			bad = x.step(len(x.args))
		}
	})
	return one(out, bad)
}

// implicit returns the letters that occur just once, in order.
func implicit(terms string) string {
	var out []string
	for _, c := range terms {
		if c != ',' && c != '.' && strings.Count(terms, string(c)) == 1 {
			out = append(out, string(c))
		}
	}
	sort.Strings(out)
	return strings.Join(out, "")
}
