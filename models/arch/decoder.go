package arch

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Decoder is a Llama-like language model: RMSNorm before grouped-query
// attention with rotary positions and before a gated MLP, residual around
// each. The families differ in the fields below.
type Decoder struct {
	Vocab, Hidden, Intermediate int64
	Layers, Heads, KVHeads      int64
	HeadDim                     int64
	MaxPositions                int64 // the longest context it was made for
	Eps                         float64
	Act                         string
	Rope                        Rope
	// QKVBias, OBias and MLPBias tell which projections have one.
	QKVBias, OBias, MLPBias bool
	// QKNorm applies an RMSNorm to each query and key head before rotation.
	QKNorm bool
	// EmbedScale multiplies token embeddings (not image embeddings),
	// ResidualScale each residual branch, LogitScale the normed hidden state
	// before the head.
	EmbedScale, ResidualScale, LogitScale float64

	// Names of the tensors: Prefix + "embed_tokens.weight", Prefix +
	// "layers.0...", Prefix + "norm.weight", and Head (the embedding's name
	// when they are tied).
	Prefix, Head string

	// EOS lists the tokens that end an answer, BOS begins a text; -1 if none.
	EOS []int64
	BOS int64
}

// Rope holds the settings of rotary position embeddings.
type Rope struct {
	Theta float64
	Type  string // "default", "linear" or "llama3"
	// Factor stretches positions; the others shape the llama3 rule.
	Factor, LowFreq, HighFreq float64
	OriginalPositions         float64
}

// InvFreq returns the angle per position of each pair of a head of dim d.
// Computed in float32 steps where Hugging Face does, so that angles at long
// positions agree.
func (r Rope) InvFreq(d int64) []float32 {
	out := make([]float32, d/2)
	for i := range out {
		e := float32(2*i) / float32(d)
		f := 1 / float32(math.Pow(float64(float32(r.Theta)), float64(e)))
		switch r.Type {
		case "linear":
			f /= float32(r.Factor)
		case "llama3":
			wave := 2 * math.Pi / float64(f)
			low, high := r.OriginalPositions/r.LowFreq, r.OriginalPositions/r.HighFreq
			switch {
			case wave > low:
				f /= float32(r.Factor)
			case wave >= high:
				smooth := float32((r.OriginalPositions/wave - r.LowFreq) / (r.HighFreq - r.LowFreq))
				f = float32((1-smooth)*f/float32(r.Factor)) + float32(smooth*f)
			}
		}
		out[i] = f
	}
	return out
}

// table returns cos and sin of every angle for n positions: [n, d/2] each.
func (r Rope) table(n, d int64) (cos, sin []float32) {
	inv := r.InvFreq(d)
	cos, sin = make([]float32, 0, n*d/2), make([]float32, 0, n*d/2)
	for pos := range n {
		for _, f := range inv {
			a := float64(float32(pos) * f)
			cos = append(cos, float32(math.Cos(a)))
			sin = append(sin, float32(math.Sin(a)))
		}
	}
	return cos, sin
}

const (
	maxWidth  = 1 << 17
	maxLayers = 1 << 10
	maxVocab  = 1 << 23
)

// maxSpread is how much wider than the hidden state all heads together may
// be. Known models stay below three.
const maxSpread = 16

// sizes are a family's defaults in Hugging Face's configuration class. A
// headDim of 0 divides hidden among the heads.
type sizes struct {
	vocab, hidden, intermediate, layers, heads, positions, headDim int64
	bos                                                            int64
	eos                                                            []int64
}

var (
	llamaSizes = sizes{32000, 4096, 11008, 32, 32, 2048, 0, 1, []int64{2}}
	qwen2Sizes = sizes{151936, 4096, 22016, 32, 32, 32768, 0, -1, nil}
	qwen3Sizes = sizes{151936, 4096, 22016, 32, 32, 32768, 128, -1, nil}
)

// readDecoder reads the fields that Llama-like families share. The configs of
// vision-language models leave out of their text part what equals the
// family's defaults; a model of its own has to say its sizes.
func readDecoder(c config, def sizes, prefix, head string) *Decoder {
	size := func(key string, def, hi int64) int64 {
		if c.path == "" {
			return c.must(key, 1, hi)
		}
		return c.int(key, def, 1, hi)
	}
	d := &Decoder{
		Vocab: size("vocab_size", def.vocab, maxVocab), Hidden: size("hidden_size", def.hidden, maxWidth),
		Intermediate: size("intermediate_size", def.intermediate, 1<<20),
		Layers:       size("num_hidden_layers", def.layers, maxLayers), Heads: size("num_attention_heads", def.heads, 1024),
		MaxPositions: c.int("max_position_embeddings", def.positions, 1, 1<<24),
		Eps:          c.float("rms_norm_eps", 1e-6, 0, 1),
		Act:          c.str("hidden_act", "silu"),
		EmbedScale:   1, ResidualScale: 1, LogitScale: 1,
		Prefix: prefix, Head: head, BOS: c.int("bos_token_id", -1, -1, maxVocab), EOS: c.ints("eos_token_id", 0, maxVocab),
	}
	if c.path != "" && c.absent("bos_token_id") {
		d.BOS = def.bos
	}
	if c.path != "" && c.absent("eos_token_id") {
		d.EOS = def.eos
	}
	d.KVHeads = c.int("num_key_value_heads", d.Heads, 1, 1024)
	if d.HeadDim = def.headDim; c.has("head_dim") {
		d.HeadDim = c.int("head_dim", 0, 1, 1024)
	} else if d.HeadDim == 0 {
		c.want("num_attention_heads", d.Hidden%d.Heads == 0, d.Heads, fmt.Sprintf("hidden_size (%d) must be a multiple of it, or head_dim be given", d.Hidden))
		d.HeadDim = max(2, d.Hidden/d.Heads)
	}
	checkActivation(c, "hidden_act", d.Act)
	c.want("num_key_value_heads", d.Heads%d.KVHeads == 0, d.KVHeads, fmt.Sprintf("the %d heads must be a multiple of it", d.Heads))
	c.want("head_dim", d.HeadDim%2 == 0, d.HeadDim, "rotary embedding needs an even number")
	// The cache grows with the heads alone: without a bound, a file of a few
	// megabytes could ask for a cache of many gigabytes.
	c.want("head_dim", d.Heads*d.HeadDim <= maxSpread*d.Hidden, d.HeadDim, fmt.Sprintf("%d heads of it are more than %d times hidden_size (%d)", d.Heads, maxSpread, d.Hidden))
	c.want("use_sliding_window", !c.bool("use_sliding_window", false), true, "want full attention")
	if c.bool("tie_word_embeddings", false) {
		d.Head = prefix + "embed_tokens.weight"
	}
	d.Rope = readRope(c)
	return d
}

func readRope(c config) Rope {
	r := Rope{Theta: c.float("rope_theta", 10000, 1, 1e12), Type: "default", Factor: 1}
	s := c.sub("rope_scaling")
	if p := c.sub("rope_parameters"); p.m != nil { // the newer spelling
		s = p
		r.Theta = p.float("rope_theta", r.Theta, 1, 1e12)
	}
	if s.m == nil {
		return r
	}
	r.Type = s.str("rope_type", s.str("type", "default"))
	switch r.Type {
	case "default":
	case "linear":
		r.Factor = s.float("factor", 1, 1e-3, 1e6)
	case "llama3":
		r.Factor = s.float("factor", 8, 1e-3, 1e6)
		r.LowFreq = s.float("low_freq_factor", 1, 1e-3, 1e6)
		r.HighFreq = s.float("high_freq_factor", 4, 1e-3, 1e6)
		r.OriginalPositions = s.float("original_max_position_embeddings", 8192, 1, 1e9)
		s.want("high_freq_factor", r.HighFreq > r.LowFreq, r.HighFreq, "it must exceed low_freq_factor")
	default:
		s.want("rope_type", false, r.Type, "want default, linear or llama3")
	}
	return r
}

// TextOptions shape the graphs of a decoder.
type TextOptions struct {
	// Context is the number of positions in the KV cache that callers use; 0
	// means min(MaxPositions, 4096).
	Context int64
	// MaxChunk bounds the tokens of one prefill run; 0 means 512. The cache
	// holds one more chunk than Context, so that a padded last chunk fits.
	MaxChunk int64
	// Images adds the inputs that replace token embeddings by image ones.
	Images bool
	// KV is the storage of the cache; the zero Encoding keeps float32.
	KV enc.Encoding
	// Taps makes intermediate values outputs: inputs_embeds, embeds, layer.i,
	// final_norm.
	Taps bool
}

// Defaults fills in what is zero, for d.
func (o TextOptions) Defaults(d *Decoder) TextOptions {
	if o.Context == 0 {
		o.Context = min(d.MaxPositions, 4096)
	}
	if o.MaxChunk == 0 {
		o.MaxChunk = 512
	}
	o.MaxChunk = min(o.MaxChunk, o.Context)
	return o
}

// Names of the decoder's arguments.
const (
	InputIDs    = "input_ids"        // i64[1,chunk]
	PositionIDs = "position_ids"     // i64[1,chunk]: 0, 1, 2, ...
	WriteIndex  = "write_indices"    // i64[1]: cache row of the chunk's first token
	KVLength    = "nonpad_kv_seqlen" // i64[1]: rows of the cache in use after the chunk
	LogitRows   = "logit_rows"       // i64[rows]: tokens of the chunk whose logits are wanted
	ImageMask   = "image_mask"       // bool[1,chunk,1]: where image_embeds replace the embedding
	ImageEmbeds = "image_embeds"     // f32[1,chunk,H]
	Logits      = "logits"           // f32[1,rows,V]
	Pixels      = "pixel_values"     // f32[tiles,3,S,S]
)

// Prefill returns the graph of a chunk: symbols chunk (tokens) and rows
// (logits wanted, at most chunk). Query i sees the cache up to row
// write_indices+i. A device with static shapes pads the last chunk: the rows
// behind the real tokens are written too, seen by no real query, and
// overwritten by the next chunk.
func (d *Decoder) Prefill(w Weights, o TextOptions) (*graph.Graph, error) {
	o = o.Defaults(d)
	m := newModule("prefill", w, o.Taps)
	chunk := m.Symbol(dim.Symbol{Name: "chunk", Min: 1, Max: o.MaxChunk})
	rows := m.Symbol(dim.Symbol{Name: "rows", Min: 1, Max: o.MaxChunk})
	one := dim.Of(1)

	ids := m.Input(InputIDs, graph.Of(enc.I64, one, chunk))
	pos := m.Input(PositionIDs, graph.Of(enc.I64, one, chunk))
	write := m.Input(WriteIndex, graph.Of(enc.I64, one))
	length := m.Input(KVLength, graph.Of(enc.I64, one))
	want := m.Input(LogitRows, graph.Of(enc.I64, rows))

	m.Scope("embed_tokens")
	x := m.Op("Gather", []graph.ValueID{m.weight(d.Prefix+"embed_tokens.weight", d.Vocab, d.Hidden), ids}, graph.Int("axis", 0))
	x = m.tap("embeds", m.scale(x, d.EmbedScale))
	if o.Images {
		m.Scope("image_embeds")
		mask := m.Input(ImageMask, graph.Of(enc.Bool, one, chunk, one))
		img := m.Input(ImageEmbeds, graph.Of(enc.F32, one, chunk, dim.Of(d.Hidden)))
		x = m.Op("Where", []graph.ValueID{mask, img, x})
	}
	m.tap("inputs_embeds", x)

	if m.Err() != nil { // the table may be large
		return m.Build()
	}
	cos, sin := d.Rope.table(o.Context+o.MaxChunk, d.HeadDim)
	half := []int64{o.Context + o.MaxChunk, d.HeadDim / 2}
	att := attention{d: d, capacity: o.Context + o.MaxChunk, kv: o.KV, pos: pos, write: write, length: length,
		cos: m.Const("rope.cos", graph.F32(half, cos...)), sin: m.Const("rope.sin", graph.F32(half, sin...))}
	for i := range d.Layers {
		layer := fmt.Sprintf("layers.%d.", i)
		p := d.Prefix + layer
		m.Scope(layer + "self_attn")
		h := m.rmsNorm(x, p+"input_layernorm", d.Hidden, d.Eps)
		x = m.add(x, m.scale(att.apply(m, h, p+"self_attn.", i), d.ResidualScale))
		m.Scope(layer + "mlp")
		h = m.rmsNorm(x, p+"post_attention_layernorm", d.Hidden, d.Eps)
		gate := m.activation(m.linear(h, p+"mlp.gate_proj", d.Hidden, d.Intermediate, d.MLPBias), d.Act)
		up := m.linear(h, p+"mlp.up_proj", d.Hidden, d.Intermediate, d.MLPBias)
		down := m.linear(m.mul(gate, up), p+"mlp.down_proj", d.Intermediate, d.Hidden, d.MLPBias)
		x = m.tap(fmt.Sprintf("layer.%d", i), m.add(x, m.scale(down, d.ResidualScale)))
	}

	m.Scope("head")
	if o.Taps {
		m.tap("final_norm", m.rmsNorm(x, d.Prefix+"norm", d.Hidden, d.Eps))
	}
	// Only the rows asked for pass the head, the widest product of all.
	x = m.Op("Gather", []graph.ValueID{x, want}, graph.Int("axis", 1))
	x = m.Op("RMSNormalization", []graph.ValueID{x, m.headNorm(d, o.Taps)}, graph.Int("axis", -1), graph.Float("epsilon", float32(d.Eps)))
	x = m.scale(x, d.LogitScale)
	x = m.Op("MatMul", []graph.ValueID{x, m.matrix(d.Head, d.Vocab, d.Hidden)})
	m.Output(Logits, x)
	return m.Build()
}

// headNorm returns the weight of the final norm: a second reference to it
// when taps have made a first.
func (m *module) headNorm(d *Decoder, taps bool) graph.ValueID {
	name := d.Prefix + "norm.weight"
	if !taps {
		return m.weight(name, d.Hidden)
	}
	p, ok := m.tensor(name, d.Hidden)
	if !ok {
		return graph.NoValue
	}
	return m.Weight("", asF32(p.Elem, d.Hidden), &graph.Weight{Parts: []graph.Part{p}})
}

// attention is what the layers' attentions share.
type attention struct {
	d                  *Decoder
	capacity           int64
	kv                 enc.Encoding
	pos, write, length graph.ValueID
	cos, sin           graph.ValueID
}

// StateNames returns the names of layer i's cache: f32[1,KVHeads,capacity,HeadDim] each.
func StateNames(i int64) (k, v string) {
	return fmt.Sprintf("k_cache.%d", i), fmt.Sprintf("v_cache.%d", i)
}

func (a *attention) apply(m *module, x graph.ValueID, p string, layer int64) graph.ValueID {
	d := a.d
	q := a.heads(m, x, p+"q_proj", p+"q_norm", d.Heads, true)
	k := a.heads(m, x, p+"k_proj", p+"k_norm", d.KVHeads, true)
	v := a.heads(m, x, p+"v_proj", "", d.KVHeads, false)
	kn, vn := StateNames(layer)
	k = a.store(m, kn, k)
	v = a.store(m, vn, v)
	y := m.Op("Attention", []graph.ValueID{q, k, v, graph.NoValue, graph.NoValue, graph.NoValue, a.length}, graph.Int("is_causal", 1))
	y = m.reshape(m.transpose(y, 0, 2, 1, 3), 0, 0, d.Heads*d.HeadDim)
	return m.linear(y, p+"o_proj", d.Heads*d.HeadDim, d.Hidden, d.OBias)
}

// heads projects x to n heads, f32[1,n,chunk,HeadDim], normed and rotated.
func (a *attention) heads(m *module, x graph.ValueID, proj, norm string, n int64, rotate bool) graph.ValueID {
	d := a.d
	y := m.reshape(m.linear(x, proj, d.Hidden, n*d.HeadDim, d.QKVBias), 0, 0, n, d.HeadDim)
	if rotate && d.QKNorm {
		y = m.rmsNorm(y, norm, d.HeadDim, d.Eps)
	}
	y = m.transpose(y, 0, 2, 1, 3)
	if rotate {
		y = m.Op("RotaryEmbedding", []graph.ValueID{y, a.cos, a.sin, a.pos})
	}
	return y
}

// store writes a chunk's rows into a cache and returns the cache.
func (a *attention) store(m *module, name string, rows graph.ValueID) graph.ValueID {
	t := graph.OfInts(enc.F32, 1, a.d.KVHeads, a.capacity, a.d.HeadDim)
	t.Enc = a.kv
	next := m.Op("TensorScatter", []graph.ValueID{m.State(name, t), rows, a.write}, graph.Int("axis", 2))
	m.SetState(name, next)
	return next
}
