package cpu

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// storages are the ways to keep a cache whose rows have 16 numbers.
var storages = map[string]enc.Encoding{
	"plain": {}, "f16": enc.As(enc.F16), "bf16": enc.As(enc.BF16),
	"i8":      enc.Blocked(enc.I8, 3, 16),
	"i8 by 8": enc.Blocked(enc.I8, 3, 8),
	"u8 zero": {Kind: enc.Affine, Store: enc.U8, Scale: enc.F16, Axis: 3, BlockLen: 16, HasZero: true},
	"i16":     {Kind: enc.Affine, Store: enc.I16, Scale: enc.BF16, Axis: 3, BlockLen: 16},
}

func random(rnd *rand.Rand, shape ...int64) *oracle.Tensor {
	n, _ := dim.Count(shape)
	t := &oracle.Tensor{Elem: enc.F32, Shape: shape, F: make([]float64, n)}
	for i := range t.F {
		t.F[i] = float64(float32(rnd.Float64()*2 - 1))
	}
	return t
}

func bytesOf(t testing.TB, x *oracle.Tensor) []byte {
	t.Helper()
	b, err := x.Bytes()
	require.NoError(t, err)
	return b
}

// A decoder over caches in every storage, in chunks and single steps, by two
// executables that share the states' buffers, agrees with the reference.
func TestCaches(t *testing.T) {
	for name, storage := range storages {
		t.Run(name, func(t *testing.T) {
			d := open(t, "cpu")
			g := decoderOver(t, storage)
			prefill, decode := prepare(t, d, g, nil), prepare(t, d, g, nil)
			for i, b := range decode.x.Bindings() {
				if b.Role == driver.RoleState {
					require.NoError(t, decode.bufs[i].Close())
					decode.bufs[i] = prefill.bufs[i]
				}
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			states := map[string]*oracle.Tensor{}
			at := int64(0)
			for _, chunk := range []int64{5, 16, 1, 1, 3, 1} {
				at += chunk
				x, valid := random(rnd, 1, chunk, 64), &oracle.Tensor{Elem: enc.I64, Shape: []int64{1}, I: []int64{at}}
				res, err := oracle.Eval(context.Background(), g, oracle.Options{Round: true, States: states, Inputs: map[string]*oracle.Tensor{"x": x, "valid": valid}})
				require.NoError(t, err)
				states = res.States
				r := prefill
				if chunk == 1 {
					r = decode
				}
				r.set(driver.RoleInput, "x", bytesOf(t, x))
				r.set(driver.RoleInput, "valid", bytesOf(t, valid))
				require.NoError(t, r.run(chunk))
				got, err := oracle.FromConst(r.at(driver.RoleOutput, "logits", []int64{chunk}))
				require.NoError(t, err)
				want := res.Outputs["logits"]
				most := 0.0
				for _, f := range want.F {
					most = max(most, math.Abs(f))
				}
				// A float32 sum may round to the other side of a code's edge.
				slack := 2e-5
				if storage != (enc.Encoding{}) {
					slack = 2e-3
				}
				for i, w := range want.F {
					require.InDelta(t, w, got.F[i], slack*most, "logit %d at %d", i, at)
				}
			}
		})
	}
}

// What a cache holds after a write is, to the bit, what the reference says:
// all encodings of states are written by one rule.
func TestCacheBits(t *testing.T) {
	for name, storage := range storages {
		t.Run(name, func(t *testing.T) {
			b := graph.NewBuilder("cache", ops.Standard)
			typ := graph.OfInts(enc.F32, 2, 3, 9, 16)
			typ.Enc = storage
			x := b.Input("x", graph.OfInts(enc.F32, 2, 3, 4, 16))
			at := b.Input("at", graph.OfInts(enc.I64, 2))
			b.SetState("s", b.Op("TensorScatter", ids{b.State("s", typ), x, at}, graph.Str("mode", "circular")))
			g, err := b.Build()
			require.NoError(t, err)
			r := prepare(t, open(t, "cpu"), g, nil)
			rnd := rand.New(rand.NewPCG(3, 4))
			states := map[string]*oracle.Tensor{}
			for _, starts := range [][]int64{{0, 5}, {7, 2}, {11, 4}} {
				in := map[string]*oracle.Tensor{"x": random(rnd, 2, 3, 4, 16), "at": {Elem: enc.I64, Shape: []int64{2}, I: starts}}
				if starts[0] == 11 {
					for i := range 32 {
						in["x"].F[i] = 0 // a scale of 0
					}
				}
				res, err := oracle.Eval(context.Background(), g, oracle.Options{Round: true, States: states, Inputs: in})
				require.NoError(t, err)
				states = res.States
				r.set(driver.RoleInput, "x", bytesOf(t, in["x"]))
				r.set(driver.RoleInput, "at", bytesOf(t, in["at"]))
				require.NoError(t, r.run())
			}
			raw, _ := r.bufs[r.x.Index(driver.RoleState, "s")].Bytes()
			l, err := storage.Layout(enc.F32, []int64{2, 3, 9, 16})
			require.NoError(t, err)
			view := &tensor{elem: enc.F32, enc: storage, shape: []int{2, 3, 9, 16}, n: 2 * 3 * 9 * 16, place: inConst, data: raw}
			view.scaleAt, view.zeroAt, view.size = planes(l)
			decode, err := decoder(view)
			require.NoError(t, err)
			got := make([]float32, view.n)
			decode(got, 0, view.n)
			for i, w := range states["s"].F {
				require.Equal(t, float32(w), got[i], "element %d", i)
			}
		})
	}
}

// A state may be read only, be an output too, be read by other operators than
// Attention, and be kept in a narrower type then.
func TestStateUses(t *testing.T) {
	for name, storage := range map[string]enc.Encoding{"plain": {}, "f16": enc.As(enc.F16)} {
		t.Run(name, func(t *testing.T) {
			b := graph.NewBuilder("uses", ops.Standard)
			typ := graph.OfInts(enc.F32, 1, 4, 8)
			typ.Enc = storage
			only := b.State("only", typ)
			b.Output("doubled", b.Op("Add", ids{only, only}))
			b.Output("flat", b.Op("Flatten", ids{only}))
			b.Output("itself", only)
			next := b.Op("TensorScatter", ids{b.State("written", typ), b.Input("x", graph.OfInts(enc.F32, 1, 1, 8))})
			next = b.Op("TensorScatter", ids{next, b.Input("y", graph.OfInts(enc.F32, 1, 2, 8)), b.Const("", graph.I64(2))})
			b.SetState("written", next)
			b.Output("rows", b.Op("ReduceSum", ids{next, b.Ints(-1)}))
			b.Output("version", next)
			g, err := b.Build()
			require.NoError(t, err)
			r := prepare(t, open(t, "cpu"), g, nil)
			rnd := rand.New(rand.NewPCG(3, 4))
			in := map[string]*oracle.Tensor{"x": random(rnd, 1, 1, 8), "y": random(rnd, 1, 2, 8)}
			states := map[string]*oracle.Tensor{"only": random(rnd, 1, 4, 8), "written": random(rnd, 1, 4, 8)}
			for _, s := range states {
				for i, f := range s.F {
					s.F[i] = roundTo(storage.Stored(enc.F32), f)
				}
			}
			stored := func(x *oracle.Tensor) []byte {
				y := *x
				y.Elem = storage.Stored(enc.F32)
				y.F = append([]float64(nil), x.F...)
				for i, f := range y.F {
					y.F[i] = roundTo(y.Elem, f)
				}
				return bytesOf(t, &y)
			}
			for s, v := range states {
				r.set(driver.RoleState, s, stored(v))
			}
			for s, v := range in {
				r.set(driver.RoleInput, s, bytesOf(t, v))
			}
			res, err := oracle.Eval(context.Background(), g, oracle.Options{Round: true, States: states, Inputs: in})
			require.NoError(t, err)
			require.NoError(t, r.run())
			for _, p := range g.Outputs {
				want := res.Outputs[p.Name]
				if g.Values[p.Value].Type.Enc != (enc.Encoding{}) {
					require.Equal(t, stored(want), r.at(driver.RoleOutput, p.Name, nil).Data, p.Name)
					continue
				}
				got, err := oracle.FromConst(r.at(driver.RoleOutput, p.Name, nil))
				require.NoError(t, err)
				near(t, class(g, p.Value), want, got)
			}
			raw, _ := r.bufs[r.x.Index(driver.RoleState, "only")].Bytes()
			require.Equal(t, stored(states["only"]), raw, "a state that is only read stays")
		})
	}
}

// A cache of 4-bit integers is updated, too, packed as it is.
func TestNibbleState(t *testing.T) {
	b := graph.NewBuilder("nibbles", ops.Standard)
	b.SetState("s", b.Op("TensorScatter", ids{b.State("s", graph.OfInts(enc.I4, 1, 3, 3)), b.Input("x", graph.OfInts(enc.I4, 1, 1, 3)), b.Const("", graph.I64(1))}))
	g, err := b.Build()
	require.NoError(t, err)
	r := prepare(t, open(t, "cpu"), g, nil)
	set := func(ns ...int64) []byte {
		return bytesOf(t, &oracle.Tensor{Elem: enc.I4, Shape: []int64{int64(len(ns))}, I: ns})
	}
	r.set(driver.RoleState, "s", set(1, 2, 3, 4, 5, 6, 7, -8, -1))
	r.set(driver.RoleInput, "x", set(-2, -3, -4))
	require.NoError(t, r.run())
	raw, _ := r.bufs[r.x.Index(driver.RoleState, "s")].Bytes()
	require.Equal(t, set(1, 2, 3, -2, -3, -4, 7, -8, -1), raw)
}
