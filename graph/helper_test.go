package graph

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// fake is a small set of operators, so that package graph is tested without
// package ops.
//
//	Add       two inputs of one type, one output of that type
//	Like      any inputs, any number of outputs, each of the first input's type
//	x.Update  a state version and anything, the next version
type fake struct{}

func (fake) Lookup(domain, name string) (OpRef, error) {
	switch (OpRef{Domain: domain, Name: name}).String() {
	case "Add":
		return OpRef{"", "Add", 14}, nil
	case "Like":
		return OpRef{"", "Like", 1}, nil
	case "x.Update":
		return OpRef{"x", "Update", 3}, nil
	}
	return OpRef{}, fmt.Errorf("operator %q is unknown", name)
}

func (f fake) Infer(c *Call) ([]Type, error) {
	ref, err := f.Lookup(c.Op.Domain, c.Op.Name)
	if err != nil {
		return nil, err
	}
	if ref != c.Op {
		return nil, errors.New("another version")
	}
	if !c.Has(0) {
		return nil, errors.New("input 0 is missing")
	}
	t := c.Type(0)
	if c.Op.Name != "Update" {
		t.Enc = enc.Encoding{}
	}
	if c.Op.Name == "Add" && (len(c.In) != 2 || !c.Has(1) || !t.Shape.Equal(c.Type(1).Shape) || t.Elem != c.Type(1).Elem || len(c.Out) != 1) {
		return nil, errors.New("wants two inputs of one type")
	}
	out := make([]Type, len(c.Out))
	for i := range out {
		out[i] = t
	}
	return out, nil
}

func (fake) Updates(op OpRef) bool { return op.Name == "Update" }

// sample is a graph that uses every feature.
func sample(t testing.TB) *Graph {
	t.Helper()
	b := NewBuilder("sam\"ple", fake{})
	tiles := b.Symbol(dim.Symbol{Name: "tiles", Min: 1, Max: 16, Buckets: []int64{1, 4, 16}})
	past := b.Symbol(dim.Symbol{Name: "past", Max: 1 << 40})
	b.Source(Source{Name: "model.safetensors", Size: 1 << 20, ID: "sha256:ab"})
	b.Source(Source{Name: "other file.gguf"})
	x := b.Input("pixels", Of(enc.F32, tiles, dim.Of(8), past.AddInt(7).Div(4)))
	b.Input("möre-ids", OfInts(enc.I64, 4))
	kv := b.State("kv.0", Type{Elem: enc.F32, Shape: dim.Ofs(1, 2, 64, 16), Enc: enc.Encoding{Kind: enc.Affine, Store: enc.I8, Scale: enc.F16, Axis: 3, BlockLen: 16}})
	b.State("kv.1", OfInts(enc.F16, 2))
	w := b.Weight("patch.w", Type{Elem: enc.F32, Shape: dim.Ofs(64, 192), Enc: enc.As(enc.BF16)}, &Weight{
		Parts: []Part{
			{Source: "model.safetensors", Offset: 4096, Elem: enc.BF16, Shape: []int64{64, 64}},
			{Source: "model.safetensors", Offset: 16384, Elem: enc.BF16, Shape: []int64{256, 80}, Start: []int64{8, 16}, Size: []int64{128, 64}},
		}, Perm: []int{1, 0}})
	b.Weight("codes", Type{Elem: enc.F32, Shape: dim.Ofs(64, 64), Enc: enc.Encoding{Kind: enc.Affine, Store: enc.U4, Scale: enc.BF16, Axis: 1, BlockLen: 32, HasZero: true}}, &Weight{
		Parts: []Part{{Source: "other file.gguf", ScaleOffset: 9000, ZeroOffset: 99999, Elem: enc.F32, Shape: []int64{64, 64},
			Enc: enc.Encoding{Kind: enc.Affine, Store: enc.U4, Scale: enc.BF16, Axis: 1, BlockLen: 32, HasZero: true}}}})
	b.Weight("", Type{Elem: enc.F32, Shape: dim.Ofs(64, 2), Enc: enc.GGUF(enc.Q8_0, 0)}, &Weight{
		Parts: []Part{{Elem: enc.F32, Shape: []int64{2, 64}, Enc: enc.GGUF(enc.Q8_0, 1), Inline: make([]byte, 4*34)}}, Perm: []int{1, 0}})
	b.Weight("planned", OfInts(enc.F32, 8), &Weight{Parts: []Part{{Elem: enc.F32, Shape: []int64{8}}}})
	b.Weight("mixed", OfInts(enc.U8, 5), &Weight{Parts: []Part{{Elem: enc.U8, Shape: []int64{3}, Inline: []byte{1, 2, 3}}, {Elem: enc.U8, Shape: []int64{2}}}})
	b.Weight("sliced scalar", OfInts(enc.F32), &Weight{Parts: []Part{{Elem: enc.F32, Start: []int64{}, Size: []int64{}, Inline: make([]byte, 4)}}, Perm: []int{}})
	b.Dims(tiles.MulInt(196), dim.Of(-1), past)
	b.Weight("n", OfInts(enc.I64), &Weight{Dims: []dim.Dim{tiles}})
	b.Weight("no dims", OfInts(enc.I64, 0), &Weight{Dims: []dim.Dim{}})
	b.Ints(1, -2, 3)
	b.Ints()
	b.Float(enc.F16, 0.1)
	b.Const("odd nibbles", &Tensor{Elem: enc.I4, Shape: []int64{3}, Data: []byte{0x7f, 0x08}})
	b.Const("dirty nibbles", &Tensor{Elem: enc.I4, Shape: []int64{3}, Data: []byte{0x7f, 0xf8}})
	b.Const("bools", &Tensor{Elem: enc.Bool, Shape: []int64{2}, Data: []byte{0, 1}})
	b.Const("strange bools", &Tensor{Elem: enc.Bool, Shape: []int64{2}, Data: []byte{0, 2}})
	b.Const("floats", F32([]int64{2, 3}, 0.1, -0, float32(math.Inf(1)), float32(math.Inf(-1)), 1e-45, math.MaxFloat32))
	b.Const("nan", F32(nil, float32(math.NaN())))
	b.Const("odd nan", F32(nil, math.Float32frombits(0x7fc00001)))
	b.Const("bf16", &Tensor{Elem: enc.BF16, Shape: []int64{2}, Data: []byte{0x80, 0x3f, 0xcd, 0x3d}})
	b.Const("f64", &Tensor{Elem: enc.F64, Data: []byte{1, 2, 3, 4, 5, 6, 7, 8}})
	b.Const("large", &Tensor{Elem: enc.U16, Shape: []int64{100}, Data: make([]byte, 200)})
	b.Scope("layer.3.\"mlp\"")
	y := b.Op("Add", []ValueID{x, x})
	b.Scope("")
	out := b.Ops("Like", []ValueID{y, NoValue, w}, []bool{false, true, true},
		Int("i", math.MinInt64), Float("f", 3), Float("f.nan", float32(math.NaN())), Float("f.odd", math.Float32frombits(0xffc00123)),
		Float("f.inf", float32(math.Inf(-1))), Float("f.zero", float32(math.Copysign(0, -1))), Str("s", "line\nbreak \xff # \u2028"), Str("s.empty", ""),
		Ints("is", 1, -2), Ints("is.empty"), Floats("fs", 1, float32(math.NaN()), float32(math.Inf(-1)), 1e30), Floats("fs.empty"), Floats("fs.nan", float32(math.NaN()), 1),
		Strings("ss", "a,b", "]"), Strings("ss.empty"), Elem("e", enc.F32), TensorAttr("t", I64(5, 6)), TensorAttr("t scalar", F32(nil, 0.5)),
		TensorAttr("t.big", &Tensor{Elem: enc.U4, Shape: []int64{9, 9}, Data: make([]byte, 41)}))
	next := b.Op("x.Update", []ValueID{kv, out[1]})
	b.SetState("kv.0", next)
	b.Output("features out", out[2])
	b.Output("again", out[2])
	b.Output("in", x)
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// random returns a valid graph of the fake operators, different for each
// seed.
func random(t testing.TB, seed int64) *Graph {
	r := rand.New(rand.NewSource(seed))
	b := NewBuilder(fmt.Sprintf("random %d", seed), fake{})
	syms := []dim.Dim{dim.Of(3), b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 9})}
	if r.Intn(2) == 0 {
		syms = append(syms, b.Symbol(dim.Symbol{Name: "m.x", Min: 2, Max: 70, Buckets: []int64{2, 64}}).Div(2).AddInt(-1))
	}
	b.Source(Source{Name: "s", Size: int64(r.Intn(2)) * 100000})
	var vals []ValueID
	typ := func() Type {
		t := Type{Elem: enc.Elems()[r.Intn(len(enc.Elems()))]}
		for range r.Intn(4) {
			t.Shape = append(t.Shape, syms[r.Intn(len(syms))])
		}
		return t
	}
	for range 1 + r.Intn(3) {
		vals = append(vals, b.Input(fmt.Sprint("in", len(vals)), typ()))
	}
	for range r.Intn(12) {
		in := vals[r.Intn(len(vals))]
		switch r.Intn(6) {
		case 0:
			e := enc.Elems()[r.Intn(len(enc.Elems()))]
			n := int64(r.Intn(50))
			size, _ := e.Bytes(n)
			data := make([]byte, size)
			r.Read(data)
			vals = append(vals, b.Const("", &Tensor{Elem: e, Shape: []int64{n}, Data: data}))
		case 1:
			vals = append(vals, b.Dims(syms[r.Intn(len(syms))], dim.Of(int64(r.Intn(9)))))
		case 2:
			lo := int64(r.Intn(5))
			p := Part{Source: "s", Offset: int64(r.Intn(64)), Elem: enc.F16, Shape: []int64{9, 4}, Start: []int64{lo, 1}, Size: []int64{9 - lo, 2}}
			vals = append(vals, b.Weight("", Type{Elem: enc.F32, Shape: dim.Ofs(2, 9-lo), Enc: enc.As(enc.F16)}, &Weight{Parts: []Part{p}, Perm: []int{1, 0}}))
		case 3:
			vals = append(vals, b.Op("Add", []ValueID{in, in}))
		default:
			b.Scope([]string{"", "blk", "a b"}[r.Intn(3)])
			outs := b.Ops("Like", []ValueID{in, NoValue, vals[r.Intn(len(vals))]}, []bool{r.Intn(2) == 0, true}, Int("k", r.Int63()), Floats("v", r.Float32(), r.Float32()))
			for _, o := range outs {
				if o != NoValue {
					vals = append(vals, o)
				}
			}
		}
	}
	b.Output("y", vals[r.Intn(len(vals))])
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// diff returns where two graphs differ, "" when they are equal in every
// field. It looks at the structs by reflection, so a field that a form forgets
// shows. Nil and empty lists are the same except where they mean different
// things.
func diff(a, b *Graph) string {
	return diffValue("graph", reflect.ValueOf(*a), reflect.ValueOf(*b))
}

func diffValue(path string, a, b reflect.Value) string {
	if d, ok := a.Interface().(dim.Dim); ok {
		if e := b.Interface().(dim.Dim); !d.Equal(e) {
			return fmt.Sprintf("%s: %s, %s", path, d, e)
		}
		return ""
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() != b.IsNil() {
				return path + ": one is nil"
			}
			return ""
		}
		return diffValue(path, a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			n := a.Type().Field(i).Name
			if slices.Contains([]string{"Dims", "Perm", "Inline", "Start"}, n) && a.Field(i).IsNil() != b.Field(i).IsNil() {
				return path + "." + n + ": one is nil"
			}
			if s := diffValue(path+"."+n, a.Field(i), b.Field(i)); s != "" {
				return s
			}
		}
		return ""
	case reflect.Slice:
		if a.Len() != b.Len() {
			return fmt.Sprintf("%s: length %d, %d", path, a.Len(), b.Len())
		}
		for i := range a.Len() {
			if s := diffValue(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i)); s != "" {
				return s
			}
		}
		return ""
	case reflect.Float32:
		if math.Float32bits(float32(a.Float())) == math.Float32bits(float32(b.Float())) {
			return ""
		}
	default:
		if a.Interface() == b.Interface() {
			return ""
		}
	}
	return fmt.Sprintf("%s: %v, %v", path, a, b)
}

// changed returns copies of g, each with one field of one record changed, by
// path. Copies need not be valid graphs.
func changed(t testing.TB, g *Graph) map[string]*Graph {
	out := map[string]*Graph{}
	var walk func(path string, v reflect.Value, again func(*Graph) reflect.Value)
	walk = func(path string, v reflect.Value, again func(*Graph) reflect.Value) {
		edit := func(f func(reflect.Value)) {
			h := clone(t, g)
			f(again(h))
			out[path] = h
		}
		if v.Type() == reflect.TypeFor[dim.Dim]() {
			edit(func(v reflect.Value) { v.Set(reflect.ValueOf(v.Interface().(dim.Dim).AddInt(1))) })
			return
		}
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(path, v.Elem(), func(h *Graph) reflect.Value { return again(h).Elem() })
			}
		case reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i), func(h *Graph) reflect.Value { return again(h).Field(i) })
			}
		case reflect.Slice:
			for i := range v.Len() {
				if v.Len() > 40 && i > 0 && i < v.Len()-1 {
					continue // of long data the first and last byte
				}
				walk(fmt.Sprintf("%s[%d]", path, i), v.Index(i), func(h *Graph) reflect.Value { return again(h).Index(i) })
			}
			if v.Len() > 0 {
				path += "[short]"
				edit(func(v reflect.Value) { v.Set(v.Slice(0, v.Len()-1)) })
			}
		case reflect.String:
			edit(func(v reflect.Value) { v.SetString(v.String() + "x") })
		case reflect.Float32:
			edit(func(v reflect.Value) { v.SetFloat(123) })
		case reflect.Bool:
			edit(func(v reflect.Value) { v.SetBool(!v.Bool()) })
		case reflect.Int, reflect.Int32, reflect.Int64:
			edit(func(v reflect.Value) { v.SetInt(v.Int() + 1) })
		case reflect.Uint8:
			edit(func(v reflect.Value) { v.SetUint(v.Uint() + 1) })
		default:
			t.Fatalf("%s is a %s", path, v.Kind())
		}
	}
	walk("", reflect.ValueOf(g).Elem(), func(h *Graph) reflect.Value { return reflect.ValueOf(h).Elem() })
	return out
}

// clone copies g deeply.
func clone(t testing.TB, g *Graph) *Graph {
	var dup func(v reflect.Value) reflect.Value
	dup = func(v reflect.Value) reflect.Value {
		if v.Type() == reflect.TypeFor[dim.Dim]() {
			return v
		}
		out := reflect.New(v.Type()).Elem()
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				out.Set(reflect.New(v.Type().Elem()))
				out.Elem().Set(dup(v.Elem()))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				out.Field(i).Set(dup(v.Field(i)))
			}
		case reflect.Slice:
			if !v.IsNil() {
				out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
				for i := range v.Len() {
					out.Index(i).Set(dup(v.Index(i)))
				}
			}
		default:
			out.Set(v)
		}
		return out
	}
	return dup(reflect.ValueOf(g)).Interface().(*Graph)
}
