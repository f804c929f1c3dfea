package arch

import (
	"math"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func init() { families["vila_projector"] = vilaAlone }

// vilaProjector is one of VILA's projectors (mm_projector_type), whose tensors are
// numbered like the layers of its module list.
type vilaProjector struct {
	kind        string
	in, hidden  int64
	prefix      string // up to the numbers, such as "layers."
	columnFirst bool   // see columnFirst
}

// factor returns how many tokens on a side are joined.
func (p *vilaProjector) factor() int64 {
	switch p.kind {
	case "mlp_downsample", "mlp_downsample_2x2_fix":
		return 2
	case "mlp_downsample_3x3_fix":
		return 3
	}
	return 1
}

func readVILAProjector(c config, prefix string) *vilaProjector {
	p := &vilaProjector{kind: c.str("mm_projector_type", ""), in: c.must("mm_hidden_size", 1, maxWidth), hidden: c.must("hidden_size", 1, maxWidth), prefix: prefix, columnFirst: columnFirst(c)}
	switch p.kind {
	case "linear", "mlp2x_gelu", "mlp_downsample", "mlp_downsample_2x2_fix", "mlp_downsample_3x3_fix":
	default:
		c.want("mm_projector_type", false, p.kind, "want linear, mlp2x_gelu, mlp_downsample, mlp_downsample_2x2_fix or mlp_downsample_3x3_fix")
	}
	return p
}

// apply projects f32[tiles,grid*grid,in] to f32[tiles,T,hidden].
func (p *vilaProjector) apply(m *module, x graph.ValueID, grid int64) graph.ValueID {
	n := p.factor()
	x = downsample(m, x, grid, p.in, n, p.columnFirst)
	if n > 1 {
		m.tap("tokens", x)
	}
	m.Scope("projector")
	wide := n * n * p.in
	const eps = 1e-5 // torch's LayerNorm
	switch p.kind {
	case "linear":
		return m.linear(x, p.prefix[:len(p.prefix)-1], p.in, p.hidden, true)
	case "mlp2x_gelu":
		x = m.gelu(m.linear(x, p.prefix+"0", p.in, p.hidden, true))
		return m.linear(x, p.prefix+"2", p.hidden, p.hidden, true)
	case "mlp_downsample_3x3_fix":
		x = m.layerNorm(x, p.prefix+"1", wide, eps)
		x = m.gelu(m.linear(x, p.prefix+"2", wide, 3*p.in, true))
		x = m.layerNorm(x, p.prefix+"4", 3*p.in, eps)
		x = m.gelu(m.linear(x, p.prefix+"5", 3*p.in, p.hidden, true))
		return m.linear(x, p.prefix+"7", p.hidden, p.hidden, true)
	default: // mlp_downsample, mlp_downsample_2x2_fix
		x = m.layerNorm(x, p.prefix+"1", wide, eps)
		x = m.gelu(m.linear(x, p.prefix+"2", wide, p.hidden, true))
		return m.linear(x, p.prefix+"4", p.hidden, p.hidden, true)
	}
}

// vilaAlone is a projector without tower and language model: the graph takes
// the tower's features.
func vilaAlone(c config, _ Weights) *Model {
	p := readVILAProjector(c, "layers.")
	return &Model{Projector: &Projector{Width: p.hidden, build: func(m *module, tokens int64) {
		grid := int64(math.Sqrt(float64(tokens)))
		if grid*grid != tokens {
			m.Fail(errNotSquare(tokens))
			return
		}
		tiles := m.Symbol(dim.Symbol{Name: "tiles", Min: 1, Max: maxTiles})
		x := m.Input("input", graph.Of(enc.F32, tiles, dim.Of(tokens), dim.Of(p.in)))
		m.Output("output", p.apply(m, x, grid))
	}}}
}
