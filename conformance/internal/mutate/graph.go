package mutate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

// dimType is one of the types that fields end at, though it is a struct.
var dimType = reflect.TypeFor[dim.Dim]()

// Fields lists every field of a graph, by its path: "Values[].Type.Elem" is the
// element type of any value, "Nodes" the list of nodes, "Nodes[].In[]" any
// operand. The list follows from the types of package graph.
func Fields() []string {
	var out []string
	var walk func(path string, t reflect.Type)
	walk = func(path string, t reflect.Type) {
		switch {
		case t == dimType:
		case t.Kind() == reflect.Struct:
			for i := range t.NumField() {
				f := t.Field(i)
				walk(strings.TrimPrefix(path+"."+f.Name, "."), f.Type)
			}
			return
		case t.Kind() == reflect.Pointer:
			out = append(out, path)
			walk(path, t.Elem())
			return
		case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
			out = append(out, path)
			walk(path+"[]", t.Elem())
			return
		}
		if !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	walk("", reflect.TypeFor[graph.Graph]())
	return out
}

// Has reports whether a graph has a field of a path that Fields lists.
func Has(g *graph.Graph, field string) bool { return len(places(g, field)) > 0 }

// Clone returns a copy of g that shares nothing with it that can be changed.
func Clone(g *graph.Graph) *graph.Graph {
	out := new(graph.Graph)
	reflect.ValueOf(out).Elem().Set(clone(reflect.ValueOf(*g)))
	return out
}

func clone(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == dimType {
			return v
		}
		for i := range v.NumField() {
			out.Field(i).Set(clone(v.Field(i)))
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(clone(v.Index(i)))
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(clone(v.Elem()))
		}
	default:
		out.Set(v)
	}
	return out
}

// places returns where in a graph a field is.
func places(g *graph.Graph, field string) []reflect.Value {
	var out []reflect.Value
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		if path == field && (v.Kind() != reflect.Struct || v.Type() == dimType) {
			out = append(out, v)
			return
		}
		if path != "" && !strings.HasPrefix(field, path) {
			return
		}
		switch {
		case v.Type() == dimType:
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				walk(strings.TrimPrefix(path+"."+v.Type().Field(i).Name, "."), v.Field(i))
			}
		case v.Kind() == reflect.Pointer && !v.IsNil():
			walk(path, v.Elem())
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				walk(path+"[]", v.Index(i))
			}
		}
	}
	walk("", reflect.ValueOf(g).Elem())
	return out
}

// Graph returns a copy of g in which one field of a path that Fields lists has
// another value, and what was changed to what, for messages. It is false when g
// has no such field. The result may be a valid graph by chance.
func Graph(r *rand.Rand, g *graph.Graph, field string) (_ *graph.Graph, what string, ok bool) {
	out := Clone(g)
	ps := places(out, field)
	if len(ps) == 0 {
		return nil, "", false
	}
	i := r.IntN(len(ps))
	before := clone(ps[i])
	for range 10 { // until it is another value
		set(r, ps, i)
		if !reflect.DeepEqual(before.Interface(), ps[i].Interface()) {
			break
		}
	}
	return out, fmt.Sprintf("%s (%d of %d) from %s to %s", field, i+1, len(ps), text(before), text(ps[i])), true
}

func text(v reflect.Value) string {
	s := fmt.Sprintf("%v", v.Interface())
	if v.Kind() == reflect.String {
		s = fmt.Sprintf("%q", v.String())
	}
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	return s
}

// set gives place i another value.
func set(r *rand.Rand, ps []reflect.Value, i int) {
	v := ps[i]
	// That of another place is wrong in the most plausible way.
	if r.IntN(4) == 0 {
		v.Set(clone(ps[r.IntN(len(ps))]))
		return
	}
	switch {
	case v.Type() == dimType:
		v.Set(reflect.ValueOf(anotherDim(r, v.Interface().(dim.Dim))))
	case v.CanInt():
		n := anotherInt(r, v.Int())
		for v.OverflowInt(n) {
			n >>= 8
		}
		v.SetInt(n)
	case v.CanUint():
		n := uint64(anotherInt(r, int64(v.Uint())))
		for v.OverflowUint(n) {
			n >>= 8
		}
		v.SetUint(n)
	case v.CanFloat():
		v.SetFloat([]float64{0, 1, -1, 0.5, 1e30, -1e-30, math.NaN(), math.Inf(1), math.Inf(-1)}[r.IntN(9)])
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.Kind() == reflect.String:
		v.SetString(anotherString(r, v.String()))
	case v.Kind() == reflect.Pointer:
		if v.IsNil() || r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
		} else {
			v.SetZero()
		}
	case v.Kind() == reflect.Slice:
		anotherSlice(r, v)
	}
}

func anotherInt(r *rand.Rand, n int64) int64 {
	switch r.IntN(6) {
	case 0:
		return n + 1
	case 1:
		return n - 1
	case 2:
		return -n
	case 3:
		return 2*n + int64(r.IntN(3)) - 1
	}
	return numbers[r.IntN(len(numbers))]
}

func anotherString(r *rand.Rand, s string) string {
	list := []string{"", "x", s + "x", s + s, strings.ToUpper(s), "\x00", s + "\x00", "\xff\xfe", "a b", "new\nline", "%s%n", strings.Repeat("n", 5000), "../../etc", "MatMul", "Softmax", "axis"}
	return list[r.IntN(len(list))]
}

func anotherDim(r *rand.Rand, d dim.Dim) dim.Dim {
	list := []dim.Dim{dim.Of(0), dim.Of(1), dim.Of(-1), dim.Of(1 << 40), dim.Of(math.MaxInt64), d.AddInt(1), d.AddInt(-1), d.MulInt(2), d.Div(2), dim.Sym("nobody"), dim.Sym("n"), d.Add(dim.Sym("n")),
		dim.Sym("n").Mul(dim.Sym("n")), d.MulInt(math.MaxInt64).MulInt(math.MaxInt64), dim.Sym("n").MulInt(1 << 61)}
	return list[r.IntN(len(list))]
}

func anotherSlice(r *rand.Rand, v reflect.Value) {
	n := v.Len()
	keep := func(from, to int) { v.Set(clone(v.Slice(from, to))) }
	switch k := r.IntN(8); {
	case k == 0:
		v.SetZero()
	case k == 1:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	case k == 2 || n == 0: // one more, empty
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case k == 3: // one of them again
		v.Set(reflect.Append(v, clone(v.Index(r.IntN(n)))))
	case k == 4: // one of them less
		i := r.IntN(n)
		out := clone(v)
		v.Set(reflect.AppendSlice(out.Slice(0, i), v.Slice(i+1, n)))
	case k == 5: // two of them exchanged
		reflect.Swapper(v.Interface())(r.IntN(n), r.IntN(n))
	case k == 6:
		keep(0, r.IntN(n))
	default:
		keep(r.IntN(n), n)
	}
}
