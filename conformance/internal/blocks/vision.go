package blocks

import (
	"context"
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// vit describes blocks of a vision transformer.
type vit struct {
	width, mlp, heads int64
	act               string
	// rms, joint and gated are what InternViT does otherwise: RMSNorm, one
	// matrix for queries, keys and values, a learned scale on each branch.
	rms, joint, gated bool
}

func (v vit) norm(n *net, x graph.ValueID) graph.ValueID {
	if v.rms {
		return n.rmsNorm(x, v.width)
	}
	return n.layerNorm(x, v.width)
}

func (v vit) branch(n *net, x, y graph.ValueID) graph.ValueID {
	if v.gated {
		y = n.mul(y, n.vector(1, v.width))
	}
	return n.add(x, y)
}

// block adds one block to x, f32[tiles,tokens,width]. Queries and keys are
// made large, so that tokens attend to some and not to all alike.
func (v vit) block(n *net, x graph.ValueID) graph.ValueID {
	h := v.norm(n, x)
	var qkv ids
	if v.joint {
		all := n.linear(h, v.width, 3*v.width, 1.5, true)
		if qkv = n.B.Ops("Split", ids{all, n.B.Ints(v.width, v.width, v.width)}, []bool{true, true, true}, graph.Int("axis", -1)); qkv == nil {
			return graph.NoValue
		}
	} else {
		qkv = ids{n.linear(h, v.width, v.width, 2, true), n.linear(h, v.width, v.width, 2, true), n.linear(h, v.width, v.width, 1.5, true)}
	}
	y := n.B.Op("Attention", qkv, graph.Int("q_num_heads", v.heads), graph.Int("kv_num_heads", v.heads))
	x = v.branch(n, x, n.linear(y, v.width, v.width, 1.5, true))
	y = n.act(n.linear(v.norm(n, x), v.width, v.mlp, 1.5, true), v.act)
	return v.branch(n, x, n.linear(y, v.mlp, v.width, 1.5, true))
}

// patches projects each patch of pixels, f32[tiles,3,side,side], to width
// numbers and adds a learned position.
func patches(n *net, pixels graph.ValueID, side, patch, width int64) graph.ValueID {
	grid := side / patch
	n.Gain = 1 / float64(patch)
	e := n.stored
	if e.Kind != enc.Plain {
		e = enc.As(enc.F16) // recipes leave the convolution alone
	}
	x := n.B.Op("Conv", ids{pixels, n.Weight(enc.F32, e, width, 3, patch, patch), n.vector(0.5, width)},
		graph.Ints("strides", patch, patch), graph.Ints("kernel_shape", patch, patch))
	x = n.transpose(n.reshape(x, 0, width, -1), 0, 2, 1)
	return n.add(x, n.vector(1, grid*grid, width))
}

// downsample joins each f x f block of tokens along channels, padding an odd
// grid with zeros below and to the right; see models/arch.
func downsample(n *net, x graph.ValueID, grid, width, f int64, columnFirst bool) graph.ValueID {
	g := (grid + f - 1) / f
	x = n.reshape(x, 0, grid, grid, width)
	if pad := g*f - grid; pad > 0 {
		x = n.B.Op("Pad", ids{x, n.B.Ints(0, 0, 0, 0, 0, pad, pad, 0)})
	}
	x = n.reshape(x, 0, g, f, g, f, width)
	if columnFirst {
		x = n.transpose(x, 0, 3, 1, 2, 4, 5)
	} else {
		x = n.transpose(x, 0, 1, 3, 2, 4, 5)
	}
	return n.reshape(x, 0, g*g, f*f*width)
}

// storage is a way to store weights, with the profiles that ask for it.
type storage struct {
	name     string
	enc      enc.Encoding
	profiles suite.Profile // of vision and language, what replaces the group's own
}

// storages are those of whole models: plain and half-width files, and what
// recipes quantize to. Block formats of GGUF belong to no profile.
var storages = []storage{
	{name: "f32"},
	{name: "f16", enc: enc.As(enc.F16)},
	{name: "bf16", enc: enc.As(enc.BF16)},
	{name: "w8", enc: enc.PerChannel(enc.I8, 0), profiles: suite.Quantized},
	{name: "w4.block32", enc: enc.Blocked(enc.I4, 1, 32), profiles: suite.Quantized},
	{name: "w4.channel", enc: enc.PerChannel(enc.I4, 0), profiles: beyond},
	{name: "q8_0", enc: enc.GGUF(enc.Q8_0, 1), profiles: beyond},
	{name: "q4_0", enc: enc.GGUF(enc.Q4_0, 1), profiles: beyond},
}

// beyond marks what no profile asks for.
const beyond suite.Profile = 0x80

func (s storage) of(own suite.Profile) suite.Profile {
	switch s.profiles {
	case 0:
		return own
	case beyond:
		return 0
	}
	return s.profiles
}

func visionCases() []suite.Case {
	var out []suite.Case
	block := func(id string, p suite.Profile, stored enc.Encoding, v vit, tiles, tokens int64) {
		out = append(out, suite.Numeric(id, p, v.graph(stored, tiles, tokens)))
	}
	// Weights in each storage: 32 divides the sizes, as blocks need.
	for _, s := range storages {
		block("blocks.vit."+s.name+".t2_n49_c64", s.of(suite.Vision), s.enc, vit{width: 64, mlp: 160, heads: 4, act: "gelu_tanh"}, 2, 49)
	}
	// Head sizes and counts of tokens of real models, and odd ones.
	for _, c := range []struct {
		name          string
		v             vit
		tiles, tokens int64
	}{
		{"heads1_d64.t1_n196", vit{width: 64, mlp: 96, heads: 1, act: "gelu_tanh"}, 1, 196},
		{"heads2_d72.t1_n81", vit{width: 144, mlp: 269, heads: 2, act: "gelu_tanh"}, 1, 81},
		{"heads3_d7.t3_n17", vit{width: 21, mlp: 55, heads: 3, act: "gelu"}, 3, 17},
		{"heads2_d80.t1_n1", vit{width: 160, mlp: 640, heads: 2, act: "relu"}, 1, 1},
		{"internvit.t2_n50", vit{width: 64, mlp: 128, heads: 4, act: "gelu", joint: true, gated: true}, 2, 50},
		{"internvit_rms.t1_n26", vit{width: 96, mlp: 200, heads: 3, act: "gelu", rms: true, joint: true, gated: true}, 1, 26},
	} {
		block("blocks.vit.f32."+c.name, suite.Vision, enc.Encoding{}, c.v, c.tiles, c.tokens)
	}
	small := vit{width: 48, mlp: 100, heads: 4, act: "gelu_tanh"}
	out = append(out, suite.Decomposed("blocks.vit.f32.t2_n25_c48.decomposed", small.graph(enc.Encoding{}, 2, 25)))
	out = append(out, suite.Decomposed("blocks.vit.f32.erf.t1_n17_c48.decomposed", vit{width: 48, mlp: 100, heads: 4, act: "gelu", rms: true}.graph(enc.Encoding{}, 1, 17)))

	for _, c := range []struct{ side, patch, width int64 }{{30, 14, 70}, {64, 8, 48}, {48, 16, 130}, {42, 14, 1152}} {
		for _, s := range storages[:3] {
			if s.name == "bf16" && c.width != 70 {
				continue
			}
			out = append(out, suite.Numeric(fmt.Sprintf("blocks.patches.%s.side%d_patch%d_c%d", s.name, c.side, c.patch, c.width), suite.Vision, func(l *suite.Lab) {
				n := &net{Lab: l, stored: s.enc}
				l.Out(patches(n, n.input(dim.Ofs(2, 3, c.side, c.side)...), c.side, c.patch, c.width))
			}))
		}
	}
	return slices.Concat(out, projectorCases(), tileCases())
}

// graph is one block with its norm behind it.
func (v vit) graph(stored enc.Encoding, tiles, tokens int64) func(l *suite.Lab) {
	return func(l *suite.Lab) {
		n := &net{Lab: l, stored: stored}
		l.Out(v.norm(n, v.block(n, n.input(dim.Ofs(tiles, tokens, v.width)...))))
	}
}

// projectors map f32[tiles,grid*grid,width] to the language model's width.
var projectors = []struct {
	name  string
	grid  int64
	apply func(n *net, x graph.ValueID, grid int64) graph.ValueID
}{
	{"mlp", 5, func(n *net, x graph.ValueID, _ int64) graph.ValueID {
		return n.linear(n.act(n.linear(x, 96, 160, 1.5, true), "gelu"), 160, 160, 1.5, true)
	}},
	{"linear_shuffle3", 6, func(n *net, x graph.ValueID, grid int64) graph.ValueID { // SmolVLM
		return n.linear(downsample(n, x, grid, 96, 3, false), 9*96, 160, 1, false)
	}},
	{"shuffle2", 6, func(n *net, x graph.ValueID, grid int64) graph.ValueID { // InternVL, with its class token cut off
		x = n.B.Op("Concat", ids{n.B.Op("Slice", ids{x, n.B.Ints(0), n.B.Ints(1), n.B.Ints(1)}), x}, graph.Int("axis", 1))
		x = n.B.Op("Slice", ids{x, n.B.Ints(1), n.B.Ints(1 + grid*grid), n.B.Ints(1)})
		x = n.layerNorm(downsample(n, x, grid, 96, 2, false), 4*96)
		return n.linear(n.act(n.linear(x, 4*96, 160, 1.5, true), "gelu"), 160, 160, 1.5, true)
	}},
	{"shuffle2_columns", 4, func(n *net, x graph.ValueID, grid int64) graph.ValueID {
		x = n.layerNorm(downsample(n, x, grid, 96, 2, true), 4*96)
		return n.linear(n.act(n.linear(x, 4*96, 64, 1.5, true), "gelu"), 64, 64, 1.5, true)
	}},
	{"vila2_odd", 5, func(n *net, x graph.ValueID, grid int64) graph.ValueID { // 5x5 is padded to 6x6
		x = n.layerNorm(downsample(n, x, grid, 96, 2, false), 4*96)
		return n.linear(n.act(n.linear(x, 4*96, 160, 1.5, true), "gelu"), 160, 160, 1.5, true)
	}},
	{"vila3_odd", 7, func(n *net, x graph.ValueID, grid int64) graph.ValueID { // 7x7 to 9x9
		x = n.layerNorm(downsample(n, x, grid, 96, 3, true), 9*96)
		x = n.act(n.linear(x, 9*96, 3*96, 1.5, true), "gelu")
		x = n.act(n.linear(n.layerNorm(x, 3*96), 3*96, 64, 1.5, true), "gelu")
		return n.linear(x, 64, 64, 1.5, true)
	}},
}

func projectorCases() []suite.Case {
	var out []suite.Case
	for _, p := range projectors {
		for _, s := range storages {
			if s.profiles != suite.Quantized && s.name != "f32" && (s.name != "f16" || p.name != "shuffle2") {
				continue
			}
			out = append(out, suite.Numeric("blocks.projector."+p.name+"."+s.name, s.of(suite.Vision), func(l *suite.Lab) {
				n := &net{Lab: l, stored: s.enc}
				l.Out(p.apply(n, n.input(dim.Ofs(2, p.grid*p.grid, 96)...), p.grid))
			}))
		}
	}
	return out
}

// tileCases: tiles give the same embeddings whether they run one by one or
// together.
func tileCases() []suite.Case {
	build := func(stored enc.Encoding) func(l *suite.Lab) {
		return func(l *suite.Lab) {
			n := &net{Lab: l, stored: stored}
			v := vit{width: 64, mlp: 96, heads: 2, act: "gelu_tanh"}
			tiles := l.B.Symbol(dim.Symbol{Name: "tiles", Min: 1, Max: 4})
			x := patches(n, n.input(tiles, dim.Of(3), dim.Of(40), dim.Of(40)), 40, 8, v.width)
			x = n.layerNorm(v.block(n, x), v.width)
			x = n.linear(downsample(n, x, 5, v.width, 2, false), 4*v.width, 96, 1.5, true)
			l.Out(x)
		}
	}
	var out []suite.Case
	for _, s := range storages {
		if s.name != "f32" && s.name != "f16" && s.profiles != suite.Quantized {
			continue
		}
		for _, batches := range [][]int64{{1, 1, 1, 1}, {3, 1}, {1, 3}, {4}, {2, 1, 1}} {
			name := "blocks.tiles." + s.name + ".batches"
			for _, b := range batches {
				name += fmt.Sprintf("_%d", b)
			}
			if s.name != "f32" && len(batches) != 2 {
				continue
			}
			out = append(out, suite.Graph(name, s.of(suite.Vision), build(s.enc), func(ctx context.Context, e *suite.Env, p *suite.Program) error {
				return runTiles(ctx, e, p, batches)
			}))
		}
	}
	return out
}

// runTiles runs the same tiles in batches and compares them with what the
// oracle makes of all at once.
func runTiles(ctx context.Context, e *suite.Env, p *suite.Program, batches []int64) error {
	in, out := p.Graph.Values[p.Graph.Inputs[0]], p.Graph.Outputs[0]
	all := dim.Binding{"tiles": 4}
	shape, err := in.Type.Shape.Eval(all)
	if err != nil {
		return err
	}
	pixels, err := p.Fills[in.Name].Tensor(e.Rand(0), enc.F32, shape)
	if err != nil {
		return err
	}
	want, err := oracle.Eval(ctx, p.Graph, oracle.Options{Inputs: map[string]*oracle.Tensor{in.Name: pixels}, Data: p.Data, Bind: all, Round: true})
	if err != nil {
		return fmt.Errorf("the oracle: %w", err)
	}
	r := e.NewRun(p.Graph, p.Data)
	defer r.Close()
	at := int64(0)
	for _, b := range batches {
		got, err := r.Step(ctx, map[string]*oracle.Tensor{in.Name: rows(pixels, 0, at, b)}, dim.Binding{"tiles": b})
		if err != nil {
			return err
		}
		if err := p.Compare(e, r, out.Value, dim.Binding{"tiles": b}, rows(want.Outputs[out.Name], 0, at, b), got.Outputs[out.Name]); err != nil {
			return fmt.Errorf("tiles %d to %d in one run: %w", at+1, at+b, err)
		}
		at += b
	}
	return nil
}

// rows returns n indices of an axis of a float tensor, from one on.
func rows(t *oracle.Tensor, axis int, from, n int64) *oracle.Tensor {
	outer, inner := int64(1), int64(1)
	for i, d := range t.Shape {
		switch {
		case i < axis:
			outer *= d
		case i > axis:
			inner *= d
		}
	}
	out := &oracle.Tensor{Elem: t.Elem, Shape: slices.Clone(t.Shape)}
	out.Shape[axis] = n
	for o := range outer {
		at := (o*t.Shape[axis] + from) * inner
		out.F = append(out.F, t.F[at:at+n*inner]...)
	}
	return out
}
