package blocks_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/heddle-ml/heddle/conformance/internal/blocks"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/conformance/internal/try"
	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/fault"
	"github.com/stretchr/testify/require"
)

// wrong compiles another graph than it was given.
type wrong struct {
	cpu.Driver
	change func(n *graph.Node) bool // reports whether it changed the node
	hit    *atomic.Int64
}

func (w wrong) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	d, err := w.Driver.Open(ctx, id, o)
	return &wrongDevice{d, w}, err
}

type wrongDevice struct {
	driver.Device
	wrong
}

func (d *wrongDevice) As(target any) (ok bool) {
	switch t := target.(type) {
	case *driver.Importer:
		*t, ok = driver.As[driver.Importer](d.Device)
	case *driver.Exporter:
		*t, ok = driver.As[driver.Exporter](d.Device)
	}
	return ok
}

// Compile compiles the other graph.
func (d *wrongDevice) Compile(ctx context.Context, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	other := *g
	other.Nodes = slices.Clone(g.Nodes)
	for i := range other.Nodes {
		n := &other.Nodes[i]
		n.In, n.Attrs = slices.Clone(n.In), slices.Clone(n.Attrs)
		if d.change(n) {
			d.hit.Add(1)
		}
	}
	return d.Device.Compile(ctx, &other, o)
}

// set replaces an attribute.
func set(n *graph.Node, a graph.Attr) bool {
	n.Attrs = append(slices.DeleteFunc(n.Attrs, func(b graph.Attr) bool { return b.Name == a.Name }), a)
	slices.SortFunc(n.Attrs, func(a, b graph.Attr) int { return strings.Compare(a.Name, b.Name) })
	return true
}

// Every case fails on a device that computes a little otherwise, if it has
// the operator; these are slips that drivers make.
func TestSlips(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(n *graph.Node) bool
		// cases are those that have to notice, by a part of the ID; besides
		// them are some that need not.
		cases, besides []string
	}{
		{"the epsilon of the other norm", func(n *graph.Node) bool {
			return strings.HasSuffix(n.Op.Name, "Normalization") && set(n, graph.Float("epsilon", 1e-3))
		}, []string{"blocks.vit.f32", "blocks.decoder.f32", "blocks.chunks.kv_f32", "blocks.tiles.f32", "blocks.head.f32"}, []string{"decomposed"}},
		{"the other form of GELU", func(n *graph.Node) bool {
			form := map[string]string{"tanh": "none", "none": "tanh"}[n.Attrs.Str("approximate", "none")]
			return n.Op.Name == "Gelu" && set(n, graph.Str("approximate", form))
		}, []string{"blocks.vit.", "blocks.projector.mlp", "blocks.projector.shuffle", "blocks.projector.vila", "gelu_tanh"}, []string{"relu", "decomposed", "heads2_d80"}},
		{"no causal mask", func(n *graph.Node) bool {
			return n.Op.Name == "Attention" && n.Attrs.Int("is_causal", 0) == 1 && set(n, graph.Int("is_causal", 0))
		}, []string{"blocks.decoder.", "blocks.cache.", "blocks.chunks."}, []string{".ones", "decomposed"}},
		{"a scale of the size of a head less one", func(n *graph.Node) bool {
			return n.Op.Name == "Attention" && set(n, graph.Float("scale", float32(1/math.Sqrt(15))))
		}, []string{"blocks.vit.", "blocks.decoder.", "blocks.cache.", "blocks.chunks.", "blocks.tiles."}, []string{"heads2_d80.t1_n1", "decomposed"}},
		{"rotated in neighbouring pairs", func(n *graph.Node) bool {
			return n.Op.Name == "RotaryEmbedding" && set(n, graph.Int("interleaved", 1))
		}, []string{"blocks.decoder.", "blocks.chunks."}, []string{"decomposed"}},
		{"a sigmoid that is too steep", func(n *graph.Node) bool {
			return n.Op.Name == "Swish" && set(n, graph.Float("alpha", 1.001))
		}, []string{"blocks.decoder.f32", "blocks.chunks.kv_f32"}, []string{"gelu_tanh", "decomposed"}},
		{"the blocks column by column", func(n *graph.Node) bool {
			perm := n.Attrs.Ints("perm")
			return n.Op.Name == "Transpose" && len(perm) == 6 && set(n, graph.Ints("perm", map[bool][]int64{true: {0, 3, 1, 2, 4, 5}, false: {0, 1, 3, 2, 4, 5}}[perm[1] == 1]...))
		}, []string{"blocks.projector.shuffle", "blocks.projector.vila", "blocks.projector.linear", "blocks.tiles."}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var hit atomic.Int64
			b, err := try.Open(t.Context(), wrong{change: c.change, hit: &hit}, "")
			require.NoError(t, err)
			defer b.Close()
			tried := 0
			for _, k := range blocks.Cases() {
				if !contains(k.ID, c.cases) || contains(k.ID, c.besides) {
					continue
				}
				tried++
				before := hit.Load()
				_, err := b.Run(t.Context(), k)
				require.Error(t, err, k.ID)
				require.Greater(t, hit.Load(), before, "%s does not have the operator", k.ID)
			}
			require.Positive(t, tried)
		})
	}
}

func contains(id string, parts []string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(id, p) })
}

// Faults strike outputs and states; each must show in the cases that have any.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		f     fault.Fault
		cases []string
	}{
		{fault.Fault{Kind: fault.Bias, Amount: 2e-4}, []string{"blocks.vit.f32", "blocks.decoder.f32", "blocks.patches.f32", "blocks.chunks.kv_f32", "blocks.tiles", "blocks.projector"}},
		{fault.Fault{Kind: fault.Element, Amount: 0.01}, []string{"blocks.vit", "blocks.tied", "blocks.tiles", "blocks.head"}},
		{fault.Fault{Kind: fault.Tail}, []string{"blocks.vit", "blocks.tiles", "blocks.head", "blocks.chunks.kv_f32.whole"}},
		{fault.Fault{Kind: fault.SwapRows}, []string{"blocks.vit", "blocks.projector", "blocks.decoder"}},
		{fault.Fault{Kind: fault.StateShift}, []string{"blocks.decoder", "blocks.cache", "blocks.chunks"}},
		{fault.Fault{Kind: fault.StateDrop}, []string{"blocks.decoder", "blocks.cache", "blocks.chunks"}},
		{fault.Fault{Kind: fault.StateTwice}, []string{"blocks.decoder.f32", "blocks.chunks.kv_f32"}},
		{fault.Fault{Kind: fault.NoOutput}, []string{"blocks.cache", "blocks.tiles", "blocks.tied", "blocks.patches"}},
	} {
		t.Run(string(c.f.Kind), func(t *testing.T) {
			var struck atomic.Int64
			c.f.Struck = func() { struck.Add(1) }
			b, err := try.Open(t.Context(), fault.Driver(cpu.Driver{}, c.f), "")
			require.NoError(t, err)
			defer b.Close()
			for _, k := range blocks.Cases() {
				if !contains(k.ID, c.cases) || contains(k.ID, []string{"v32003", "c1152"}) { // large ones take their time
					continue
				}
				before := struck.Load()
				_, err := b.Run(t.Context(), k)
				require.Greater(t, struck.Load(), before, k.ID)
				require.Error(t, err, k.ID)
				require.False(t, suite.IsUnsupported(err))
			}
		})
	}
}
