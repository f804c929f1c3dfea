package cpu

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// file is graph.Data of one source.
type file []byte

func (f file) Source(name string) ([]byte, error) {
	if name != "weights" {
		return nil, fmt.Errorf("no source %q", name)
	}
	return f, nil
}

// stored makes a weight of random bytes that are valid in an encoding; they
// lie in a file, at an offset that is only as aligned as files have it.
func stored(t testing.TB, rnd *rand.Rand, elem enc.Elem, e enc.Encoding, shape []int64) (file, graph.Part) {
	t.Helper()
	l, err := e.Layout(elem, shape)
	require.NoError(t, err)
	const at = 6
	f := make(file, at+l.Total())
	for i := range f {
		f[i] = byte(rnd.Uint32())
	}
	p := graph.Part{Source: "weights", Offset: at, ScaleOffset: at + l.Data, ZeroOffset: at + l.Data + l.Scale, Elem: elem, Shape: shape, Enc: e}
	data := f[at : at+l.Data]
	halves := func(b []byte, make func(float32) uint16) {
		for i := 0; i+1 < len(b); i += 2 {
			binary.LittleEndian.PutUint16(b[i:], make(rnd.Float32()-0.5))
		}
	}
	switch {
	case e.Kind == enc.Block:
		// The scales of a block are f16 and must be finite.
		elems, size := e.Format.BlockSize()
		scale := map[enc.Format]int64{enc.Q4_0: 0, enc.Q8_0: 0, enc.Q6_K: 208}[e.Format]
		_ = elems
		for i := int64(0); i < l.Data; i += size {
			halves(data[i+scale:i+scale+2], enc.F32ToF16)
		}
	case e.Kind == enc.Affine:
		scales := f[at+l.Data : at+l.Data+l.Scale]
		switch e.Scale {
		case enc.F16:
			halves(scales, enc.F32ToF16)
		case enc.BF16:
			halves(scales, enc.F32ToBF16)
		default:
			for i := 0; i < len(scales); i += 4 {
				binary.LittleEndian.PutUint32(scales[i:], 0x3c000000+rnd.Uint32N(1<<23))
			}
		}
	case elem == enc.F32:
		for i := 0; i < len(data); i += 4 {
			binary.LittleEndian.PutUint32(data[i:], rnd.Uint32N(1<<23)|0x3e800000|rnd.Uint32()&1<<31)
		}
	case elem == enc.F16:
		halves(data, enc.F32ToF16)
	case elem == enc.BF16:
		halves(data, enc.F32ToBF16)
	}
	return f, p
}

// encodings are the ways to store a [64,48] or [256,32] weight.
var encodings = []struct {
	elem enc.Elem // stored
	e    enc.Encoding
}{
	{enc.F32, enc.Encoding{}}, {enc.F16, enc.Encoding{}}, {enc.BF16, enc.Encoding{}},
	{enc.F32, enc.PerTensor(enc.I8)}, {enc.F32, enc.PerChannel(enc.I8, 0)}, {enc.F32, enc.PerChannel(enc.I8, 1)},
	{enc.F32, enc.Blocked(enc.I8, 0, 16)}, {enc.F32, enc.Blocked(enc.I4, 1, 16)},
	{enc.F32, enc.Encoding{Kind: enc.Affine, Store: enc.U4, Scale: enc.F16, Axis: 0, BlockLen: 32, HasZero: true}},
	{enc.F32, enc.Encoding{Kind: enc.Affine, Store: enc.U8, Scale: enc.BF16, Axis: 1, HasZero: true}},
	{enc.F32, enc.Encoding{Kind: enc.Affine, Store: enc.I16, Scale: enc.F32, Axis: -1}},
	{enc.F32, enc.GGUF(enc.Q8_0, 1)}, {enc.F32, enc.GGUF(enc.Q4_0, 1)}, {enc.F32, enc.GGUF(enc.Q6_K, 1)},
	{enc.F32, enc.GGUF(enc.Q8_0, 0)},
}

// Weights in every encoding, as they lie in a file and transposed, serve as
// matrix, as table and as operand of anything that reads plain numbers.
func TestEncodedWeights(t *testing.T) {
	d := open(t, "cpu")
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, w := range encodings {
		for _, turned := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %s %v", w.elem, w.e, turned), func(t *testing.T) {
				shape := []int64{256, 256} // rows are whole blocks of any format
				if w.e.Kind != enc.Block {
					shape = []int64{64, 48}
				}
				data, part := stored(t, rnd, w.elem, w.e, shape)
				weight := &graph.Weight{Parts: []graph.Part{part}}
				typ := graph.OfInts(enc.F32, shape...)
				if typ.Enc = w.e; w.elem != enc.F32 {
					typ.Enc = enc.As(w.elem)
				}
				if turned {
					weight.Perm = []int{1, 0}
					typ.Shape = slices.Clone(typ.Shape)
					slices.Reverse(typ.Shape)
					if typ.Enc.Kind != enc.Plain && typ.Enc.Axis >= 0 {
						typ.Enc.Axis = 1 - typ.Enc.Axis
					}
				}
				b := graph.NewBuilder("encoded", ops.Standard)
				b.Source(graph.Source{Name: "weights"})
				id := b.Weight("w", typ, weight)
				rows, _ := typ.Shape[0].Const()
				x := b.Input("x", graph.OfInts(enc.F32, 5, rows))
				i := b.Input("i", graph.OfInts(enc.I64, 3))
				b.Output("product", b.Op("MatMul", ids{x, id}))
				b.Output("linear", b.Op("heddle.Linear", ids{x, id}, graph.Str("activation", "gelu")))
				b.Output("gemm", b.Op("Gemm", ids{x, b.Op("Transpose", ids{x})}))
				b.Output("row", b.Op("Gather", ids{id, i}))
				b.Output("column", b.Op("Gather", ids{id, i}, graph.Int("axis", 1)))
				if typ.Enc.Kind == enc.Plain {
					b.Output("sum", b.Op("ReduceSum", ids{id, b.Ints(0)}))
				}
				b.Output("cast", b.Op("Cast", ids{id}, graph.Elem("to", enc.F64)))
				g, err := b.Build()
				require.NoError(t, err)
				r := prepare(t, d, g, data)
				in := map[string]*oracle.Tensor{"x": random(rnd, 5, rows), "i": {Elem: enc.I64, Shape: []int64{3}, I: []int64{0, 31, -1}}}
				for name, v := range in {
					r.set(driver.RoleInput, name, bytesOf(t, v))
				}
				want, err := oracle.Eval(context.Background(), g, oracle.Options{Inputs: in, Data: data, Round: true})
				require.NoError(t, err)
				require.NoError(t, r.run())
				for _, p := range g.Outputs {
					got, err := oracle.FromConst(r.at(driver.RoleOutput, p.Name, nil))
					require.NoError(t, err)
					near(t, class(g, p.Value), want.Outputs[p.Name], got)
				}
				// An index beyond the table.
				r.set(driver.RoleInput, "i", graph.I64(0, 1<<40, 0).Data)
				require.ErrorIs(t, r.run(), errData)
			})
		}
	}
}

// A file that is shorter than the graph says is an error, not a crash.
func TestTruncatedWeights(t *testing.T) {
	d := open(t, "cpu")
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, op := range []string{"MatMul", "Gather", "Cast"} {
		for _, w := range encodings {
			data, part := stored(t, rnd, w.elem, w.e, []int64{256, 256})
			b := graph.NewBuilder("truncated", ops.Standard)
			b.Source(graph.Source{Name: "weights"})
			typ := graph.OfInts(enc.F32, 256, 256)
			if typ.Enc = w.e; w.elem != enc.F32 {
				typ.Enc = enc.As(w.elem)
			}
			id := b.Weight("w", typ, &graph.Weight{Parts: []graph.Part{part}})
			switch op {
			case "MatMul":
				b.Output("y", b.Op(op, ids{b.Input("x", graph.OfInts(enc.F32, 5, 256)), id}))
			case "Gather":
				b.Output("y", b.Op(op, ids{id, b.Input("i", graph.OfInts(enc.I64, 3))}))
			default:
				b.Output("y", b.Op(op, ids{id}, graph.Elem("to", enc.F64)))
			}
			g, err := b.Build()
			require.NoError(t, err)
			for _, n := range []int{0, 5, 100, len(data) - 1} {
				_, err = d.Compile(context.Background(), g, driver.CompileOptions{Data: data[:n]})
				require.Error(t, err, "%s of %s with %d bytes", op, typ, n)
				require.NotErrorIs(t, err, driver.ErrDeviceLost)
			}
		}
	}
}

// What is spelled out in primitives runs as composites, with the same result.
func TestFusion(t *testing.T) {
	d := open(t, "cpu")
	for name, f := range map[string]struct {
		ops  []string
		make func(l *lab, x graph.ValueID) graph.ValueID
	}{
		"linear": {[]string{"heddle.Linear"}, func(l *lab, x graph.ValueID) graph.ValueID {
			return l.b.Op("Add", ids{l.b.Op("MatMul", ids{x, l.weight(24, 17)}), l.b.Const("", graph.F32([]int64{17}, make([]float32, 17)...))})
		}},
		"linear with gelu": {[]string{"heddle.Linear"}, func(l *lab, x graph.ValueID) graph.ValueID {
			return l.b.Op("Gelu", ids{l.b.Op("Add", ids{l.x(0, 1, c(17)), l.b.Op("MatMul", ids{x, l.weight(24, 17)})})}, graph.Str("approximate", "tanh"))
		}},
		"relu of a product": {[]string{"heddle.Linear"}, func(l *lab, x graph.ValueID) graph.ValueID {
			return l.b.Op("Relu", ids{l.b.Op("MatMul", ids{x, l.weight(24, 17)})})
		}},
		"layer norm": {[]string{"LayerNormalization"}, func(l *lab, x graph.ValueID) graph.ValueID {
			last := l.b.Ints(-1)
			centred := l.b.Op("Sub", ids{x, l.b.Op("ReduceMean", ids{x, last})})
			variance := l.b.Op("ReduceMean", ids{l.b.Op("Mul", ids{centred, centred}), last})
			y := l.b.Op("Div", ids{centred, l.b.Op("Sqrt", ids{l.b.Op("Add", ids{variance, l.b.Float(enc.F32, 1e-5)})})})
			return l.b.Op("Add", ids{l.b.Op("Mul", ids{y, l.x(0, 1, c(24))}), l.x(0, 1, c(24))})
		}},
		"a sum that is used twice": {[]string{"MatMul", "Add", "Relu", "Mul"}, func(l *lab, x graph.ValueID) graph.ValueID {
			y := l.b.Op("Add", ids{l.b.Op("MatMul", ids{x, l.weight(24, 24)}), x})
			return l.b.Op("Mul", ids{l.b.Op("Relu", ids{y}), y})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, enc.F32, true)
			g := l.build(f.make(l, l.x(-1, 1, l.n(3), l.n(5), c(24))))
			fused, err := fuse(g)
			require.NoError(t, err)
			var got []string
			for _, n := range fused.Nodes {
				got = append(got, n.Op.String())
			}
			require.ElementsMatch(t, f.ops, got)
			r := prepare(t, d, g, nil)
			dims := r.x.MaxDims()
			in := map[string]*oracle.Tensor{}
			for name, s := range l.inputs {
				in[name] = l.fill(s, r.x.Bind(dims))
				r.set(driver.RoleInput, name, bytesOf(t, in[name]))
			}
			want, err := oracle.Eval(context.Background(), g, oracle.Options{Inputs: in, Bind: r.x.Bind(dims)})
			require.NoError(t, err)
			require.NoError(t, r.run(dims...))
			y, err := oracle.FromConst(r.at(driver.RoleOutput, "y0", dims))
			require.NoError(t, err)
			near(t, ops.Contraction, want.Outputs["y0"], y)
		})
	}
}

// A file that claims to be large costs nothing before it is known not to be.
func TestClaimsCostNothing(t *testing.T) {
	d := open(t, "cpu")
	for _, e := range []enc.Encoding{{}, enc.As(enc.F16), enc.Blocked(enc.I8, 0, 32), enc.GGUF(enc.Q8_0, 1)} {
		b := graph.NewBuilder("claims", ops.Standard)
		b.Source(graph.Source{Name: "weights"})
		typ := graph.OfInts(enc.F32, 1<<14, 1<<13)
		typ.Enc = e
		part := graph.Part{Source: "weights", Elem: enc.F32, Shape: []int64{1 << 14, 1 << 13}, Enc: e}
		if e.Kind == enc.Plain {
			part.Elem, part.Enc = e.Stored(enc.F32), enc.Encoding{}
		}
		w := b.Weight("w", typ, &graph.Weight{Parts: []graph.Part{part}})
		b.Output("y", b.Op("MatMul", ids{b.Input("x", graph.OfInts(enc.F32, 1, 1<<14)), w}))
		b.Output("z", b.Op("Gather", ids{w, b.Input("i", graph.OfInts(enc.I64, 1))}))
		g, err := b.Build()
		require.NoError(t, err)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = d.Compile(context.Background(), g, driver.CompileOptions{Data: make(file, 1000)})
		runtime.ReadMemStats(&after)
		require.ErrorContains(t, err, "truncated")
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20), e)
	}
}
