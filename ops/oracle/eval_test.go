package oracle

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// cachedAttention is causal attention over a cache of the given storage, for
// "chunk" new positions after those in the cache.
func cachedAttention(t *testing.T, e enc.Elem, storage enc.Encoding) *graph.Graph {
	b := graph.NewBuilder("cached", ops.Standard)
	chunk := b.Symbol(dim.Symbol{Name: "chunk", Min: 1, Max: 16})
	start := b.Input("start", graph.OfInts(enc.I64, 1))
	valid := b.Input("valid", graph.OfInts(enc.I64, 1))
	q := b.Input("q", graph.Of(e, dim.Of(1), dim.Of(4), chunk, dim.Of(8)))
	var kv ids
	for _, name := range []string{"k", "v"} {
		cache := graph.OfInts(e, 1, 2, 24, 8)
		cache.Enc = storage
		past := b.State(name+"cache", cache)
		x := b.Input(name, graph.Of(e, dim.Of(1), dim.Of(2), chunk, dim.Of(8)))
		now := b.Op("TensorScatter", ids{past, x, start})
		b.SetState(name+"cache", now)
		kv = append(kv, now)
	}
	y := b.Op("Attention", ids{q, kv[0], kv[1], graph.NoValue, graph.NoValue, graph.NoValue, valid}, graph.Int("is_causal", 1))
	b.Output("y", y)
	g, err := b.Build()
	require.NoError(t, err)
	return g
}

// part returns positions from..to of a [1,heads,positions,size] tensor.
func part(t *testing.T, v *Tensor, from, to int64) *Tensor {
	shape := []int64{1, v.Shape[1], to - from, v.Shape[3]}
	st := strides(v.Shape)
	p, err := v.pick(shape, offsets(shape, int(from)*st[2], st))
	require.NoError(t, err)
	return p
}

// runChunks evaluates a sequence chunk by chunk and returns the joined
// results and the final states.
func runChunks(t *testing.T, g *graph.Graph, q, k, v *Tensor, ends ...int64) (*Tensor, map[string]*Tensor) {
	states := map[string]*Tensor{}
	var ys []*Tensor
	from := int64(0)
	for _, to := range ends {
		res, err := Eval(context.Background(), g, Options{Round: true, States: states, Inputs: map[string]*Tensor{
			"q": part(t, q, from, to), "k": part(t, k, from, to), "v": part(t, v, from, to),
			"start": ints(enc.I64, nil, from), "valid": ints(enc.I64, nil, to)}})
		require.NoError(t, err)
		states, from = res.States, to
		ys = append(ys, res.Outputs["y"])
	}
	shape, err := joinedShape(ys, 2)
	require.NoError(t, err)
	y, err := concatAll(ys, 2, shape)
	require.NoError(t, err)
	return y, states
}

func TestChunkedPrefillEqualsFullAttention(t *testing.T) {
	for _, e := range []enc.Elem{enc.F32, enc.F16} {
		t.Run(e.String(), func(t *testing.T) {
			l := newLab(t)
			q := randomTensor(t, l.rnd, e, -1, 1, 1, 4, 13, 8)
			k := randomTensor(t, l.rnd, e, -1, 1, 1, 2, 13, 8)
			v := randomTensor(t, l.rnd, e, -1, 1, 1, 2, 13, 8)
			full := l.eval(l.build(l.b.Op("Attention", ids{l.feed(q), l.feed(k), l.feed(v)}, graph.Int("is_causal", 1))), Options{Round: true})
			g := cachedAttention(t, e, enc.Encoding{})
			for _, ends := range [][]int64{{13}, {5, 10, 13}, {1, 2, 3, 13}, {12, 13}} {
				y, states := runChunks(t, g, q, k, v, ends...)
				near(t, full.Outputs["y0"], y, 0)
				near(t, k, part(t, states["kcache"], 0, 13), 0)
				for _, f := range part(t, states["kcache"], 13, 24).F {
					require.Zero(t, f)
				}
			}
		})
	}
}

// A cache of 8-bit codes with one scale for each token and head: every read
// sees what the codes stand for, and a row that is not written again keeps
// its numbers to the bit.
func TestQuantizedCache(t *testing.T) {
	l := newLab(t)
	q := randomTensor(t, l.rnd, enc.F32, -1, 1, 1, 4, 9, 8)
	k := randomTensor(t, l.rnd, enc.F32, -1, 1, 1, 2, 9, 8)
	v := randomTensor(t, l.rnd, enc.F32, -1, 1, 1, 2, 9, 8)
	storage := enc.Blocked(enc.I8, 3, 8)
	y, states := runChunks(t, cachedAttention(t, enc.F32, storage), q, k, v, 4, 9)

	stored := func(x *Tensor) *Tensor {
		c := floats(x.Elem, x.Shape, append([]float64{}, x.F...)...)
		for row := 0; row < len(c.F); row += 8 {
			most := 0.0
			for _, f := range c.F[row : row+8] {
				most = max(most, math.Abs(f))
			}
			scale := float64(float32(most / 127))
			for i := row; i < row+8; i++ {
				c.F[i] = float64(float32(scale * math.RoundToEven(c.F[i]/scale)))
			}
		}
		return c
	}
	near(t, stored(k), part(t, states["kcache"], 0, 9), 0)
	exact, _ := runChunks(t, cachedAttention(t, enc.F32, enc.Encoding{}), q, stored(k), stored(v), 9)
	near(t, exact, y, 0)
	plain, _ := runChunks(t, cachedAttention(t, enc.F32, enc.Encoding{}), q, k, v, 9)
	require.NotEqual(t, plain.F, y.F)

	// A cache kept in a narrower type is rounded to it.
	_, states = runChunks(t, cachedAttention(t, enc.F32, enc.As(enc.BF16)), q, k, v, 9)
	for i, f := range part(t, states["kcache"], 0, 9).F {
		require.Equal(t, roundTo(enc.BF16, k.F[i]), f)
	}
}

func TestPropertiesOfRows(t *testing.T) {
	for _, shape := range [][]int64{{1}, {3, 5}, {2, 3, 4, 17}} {
		for axis := range shape {
			l := newLab(t)
			x := l.random(enc.F64, -30, 30, shape...)
			g := l.build(l.b.Op("ReduceSum", ids{l.b.Op("Softmax", ids{x}, graph.Int("axis", int64(axis))), l.b.Ints(int64(axis))}),
				l.b.Op("LayerNormalization", ids{x, l.b.Float(enc.F64, 1)}, graph.Float("epsilon", 0), graph.Int("axis", int64(axis))))
			res := l.eval(g, Options{})
			for _, s := range res.Outputs["y0"].F {
				require.InDelta(t, 1, s, 1e-12)
			}
			n := res.Outputs["y1"]
			if len(n.F) == 1 {
				continue // a single element has no variance
			}
			var axes []int
			for a := axis; a < len(shape); a++ {
				axes = append(axes, a)
			}
			for _, g := range groups(shape, axes) {
				if len(g) > 1 {
					mean, variance := moments(n, g)
					require.InDelta(t, 0, mean, 1e-12)
					require.InDelta(t, 1, variance, 1e-12)
				}
			}
		}
	}
}

// Products agree with their definition, whatever is broadcast.
func TestMatMulIsASum(t *testing.T) {
	l := newLab(t)
	a, b := randomTensor(t, l.rnd, enc.F64, -1, 1, 3, 1, 4, 5), randomTensor(t, l.rnd, enc.F64, -1, 1, 2, 5, 6)
	y := l.eval(l.build(l.b.Op("MatMul", ids{l.feed(a), l.feed(b)})), Options{}).Outputs["y0"]
	require.Equal(t, []int64{3, 2, 4, 6}, y.Shape)
	i := 0
	walk(y.Shape, func(at []int64) {
		want := 0.0
		for k := range int64(5) {
			want += a.F[(at[0]*4+at[2])*5+k] * b.F[(at[1]*5+k)*6+at[3]]
		}
		require.InDelta(t, want, y.F[i], 1e-12)
		i++
	})
}

// A rotation keeps the length of each pair, and position 0 does nothing.
func TestRotationKeepsLength(t *testing.T) {
	l := newLab(t)
	x := randomTensor(t, l.rnd, enc.F32, -1, 1, 1, 2, 3, 8)
	cos, sin := floats(enc.F32, []int64{4, 4}, make([]float64, 16)...), floats(enc.F32, []int64{4, 4}, make([]float64, 16)...)
	for i := range cos.F {
		angle := float64(i/4) * math.Pow(10, -float64(i%4))
		cos.F[i], sin.F[i] = roundTo(enc.F32, math.Cos(angle)), roundTo(enc.F32, math.Sin(angle))
	}
	for _, flag := range []int64{0, 1} {
		l := newLab(t)
		y := l.eval(l.build(l.b.Op("RotaryEmbedding", ids{l.feed(x), l.feed(cos), l.feed(sin), l.feed(ints(enc.I64, []int64{1, 3}, 0, 1, 3))},
			graph.Int("interleaved", flag))), Options{Round: true}).Outputs["y0"]
		near(t, part(t, x, 0, 1), part(t, y, 0, 1), 0)
		for row := 0; row < len(x.F); row += 8 {
			for i := range 4 {
				j, k := row+i, row+i+4
				if flag == 1 {
					j, k = row+2*i, row+2*i+1
				}
				require.InDelta(t, math.Hypot(x.F[j], x.F[k]), math.Hypot(y.F[j], y.F[k]), 1e-6)
			}
		}
	}
}

// Round decides whether intermediate results are rounded; outputs always are.
func TestRound(t *testing.T) {
	for _, round := range []bool{false, true} {
		l := newLab(t)
		x := l.feed(floats(enc.F16, nil, 2048, 1, 1))
		sum := l.b.Op("ReduceSum", ids{x, l.b.Ints(0)})
		one := l.b.Op("Add", ids{sum, l.b.Float(enc.F16, 1)})
		// 2048+1+1 = 2050 is a float16, 2051 is not and rounds to 2052 (even);
		// less 2048 that is 3 or 4.
		y := l.b.Op("Sub", ids{one, l.b.Float(enc.F16, 2048)})
		got := l.eval(l.build(y), Options{Round: round}).Outputs["y0"]
		require.Equal(t, map[bool]float64{false: 3, true: 4}[round], got.F[0])
	}
}

func TestEvalChecksWhatItIsGiven(t *testing.T) {
	b := graph.NewBuilder("g", ops.Standard)
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 4})
	x := b.Input("x", graph.Of(enc.F32, n, dim.Of(2)))
	b.Scope("add")
	b.Output("y", b.Op("Add", ids{x, x}))
	s := b.State("s", graph.OfInts(enc.F32, 2))
	b.Output("s", b.Op("Neg", ids{s}))
	g, err := b.Build()
	require.NoError(t, err)

	good := floats(enc.F32, []int64{3, 2}, 1, 2, 3, 4, 5, 6)
	res, err := Eval(context.Background(), g, Options{Inputs: map[string]*Tensor{"x": good}})
	require.NoError(t, err)
	require.Equal(t, []float64{2, 4, 6, 8, 10, 12}, res.Outputs["y"].F)
	require.Equal(t, []float64{1, 2, 3, 4, 5, 6}, good.F, "inputs are not written")
	require.Contains(t, res.States, "s")

	in := func(x *Tensor) map[string]*Tensor { return map[string]*Tensor{"x": x} }
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"missing":  {Options{}, "was not given"},
		"unknown":  {Options{Inputs: map[string]*Tensor{"x": good, "z": good}}, "not an input"},
		"state":    {Options{Inputs: in(good), States: map[string]*Tensor{"z": good}}, "not a state"},
		"type":     {Options{Inputs: in(floats(enc.F64, []int64{3, 2}, good.F...))}, "want f32"},
		"shape":    {Options{Inputs: in(good.with([]int64{2, 3}))}, "want f32[2 2]"},
		"rank":     {Options{Inputs: in(good.with([]int64{6}))}, "no value"},
		"bounds":   {Options{Inputs: in(floats(enc.F32, []int64{5, 2}, make([]float64, 10)...))}, "bounds are 1..4"},
		"bind":     {Options{Inputs: in(good), Bind: dim.Binding{"n": 2}}, "want f32[2 2]"},
		"no F":     {Options{Inputs: in(&Tensor{Elem: enc.F32, Shape: []int64{3, 2}})}, "holds 0 floats"},
		"negative": {Options{Inputs: in(&Tensor{Elem: enc.F32, Shape: []int64{-3, 2}})}, "bounds"},
		"limit":    {Options{Inputs: in(good), MaxElements: 13}, "exceeds the limit"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Eval(context.Background(), g, c.o)
			require.ErrorContains(t, err, c.want)
			var e *Error
			require.ErrorAs(t, err, &e)
		})
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Eval(ctx, g, Options{Inputs: in(good)})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, `node "add" (Add)`)
}

// A few bytes of graph must not make gigabytes of numbers, nor hours of work.
func TestHostileGraphs(t *testing.T) {
	huge := []int64{1 << 40}
	for name, make := range map[string]func(b *graph.Builder) graph.ValueID{
		"ConstantOfShape": func(b *graph.Builder) graph.ValueID { return b.Op("ConstantOfShape", ids{b.Ints(huge...)}) },
		"Expand":          func(b *graph.Builder) graph.ValueID { return b.Op("Expand", ids{b.Float(enc.F32, 1), b.Ints(huge...)}) },
		"Tile": func(b *graph.Builder) graph.ValueID {
			return b.Op("Tile", ids{b.Const("", graph.F32([]int64{1}, 1)), b.Ints(huge...)})
		},
		"Pad": func(b *graph.Builder) graph.ValueID {
			return b.Op("Pad", ids{b.Const("", graph.F32([]int64{1}, 1)), b.Ints(0, huge[0])})
		},
		"Range": func(b *graph.Builder) graph.ValueID {
			s := func(n int64) graph.ValueID { return b.Const("", graph.I64(n).Scalar()) }
			return b.Op("Range", ids{s(0), s(huge[0]), s(1)})
		},
		"chain": func(b *graph.Builder) graph.ValueID {
			// Each is small; together they are not.
			sum := b.Op("ConstantOfShape", ids{b.Ints(1 << 20)})
			var all ids
			for range 300 {
				all = append(all, b.Op("Neg", ids{sum}))
			}
			return b.Op("Sum", all)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := graph.NewBuilder("hostile", ops.Standard)
			y := make(b)
			if errors.Is(b.Err(), graph.ErrInvalid) {
				return // refused even earlier
			}
			b.Output("y", y)
			g, err := b.Build()
			require.NoError(t, err)
			_, err = Eval(context.Background(), g, Options{MaxElements: 1 << 24})
			require.ErrorIs(t, err, ErrLimit)
		})
	}

	b := graph.NewBuilder("slow", ops.Standard)
	x := b.Op("ConstantOfShape", ids{b.Ints(3000, 3000)})
	b.Output("y", b.Op("MatMul", ids{x, x}))
	g, err := b.Build()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err = Eval(stopAfter{ctx, new(int)}, g, Options{})
	require.ErrorIs(t, err, context.Canceled)
}

// stopAfter is a context that is cancelled after it has been asked a few
// times: long loops do ask.
type stopAfter struct {
	context.Context
	asked *int
}

func (c stopAfter) Err() error {
	if *c.asked++; *c.asked > 10 {
		return context.Canceled
	}
	return nil
}

func TestErrorText(t *testing.T) {
	err := fmt.Errorf("wrapped: %w", &Error{Graph: "g", Node: "n", Op: "Add", Err: ErrLimit})
	require.EqualError(t, err, `wrapped: oracle: graph "g": node "n" (Add): exceeds the limit`)
	require.ErrorIs(t, err, ErrLimit)
	require.EqualError(t, &Error{Value: "w", Err: ErrIndex}, `oracle: value "w": index out of range`)
}
