package ops

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Inputs of Attention, by position.
const (
	attnQ = iota
	attnK
	attnV
	attnMask
	attnPastKey
	attnPastValue
	attnNonpad
)

func init() {
	Register(Op{
		Ref: onnx("Attention", 25),
		Doc: "softmax(scale*Q*K' + bias)*V for each head. Q is [B,H,S,D], K [B,Hkv,T,D] and V [B,Hkv,T,Dv], or all with heads packed in the last of 3 dimensions; " +
			"each K/V head serves H/Hkv heads of Q. With is_causal, query i sees keys j <= i + offset, where offset is the length of the past, or nonpad_kv_seqlen - S " +
			"when K and V are a whole cache of which nonpad_kv_seqlen positions hold tokens, or 0. Windows bound j - (i+offset) on either side. " +
			"A query that sees no key gives zeros. K and V may be an encoded cache.",
		Inputs: []Param{
			{Name: "Q", Types: Floats, Same: "T1"},
			{Name: "K", Types: Floats, Same: "T1", Encoded: true},
			{Name: "V", Types: Floats, Same: "T2", Encoded: true},
			{Name: "attn_mask", Types: Floats | Bools, Optional: true},
			{Name: "past_key", Types: Floats, Same: "T1", Optional: true},
			{Name: "past_value", Types: Floats, Same: "T2", Optional: true},
			{Name: "nonpad_kv_seqlen", Types: i64Only, Optional: true},
		},
		Outputs: []Param{
			{Name: "Y", Types: Floats, Same: "T1"},
			{Name: "present_key", Types: Floats, Same: "T1", Optional: true},
			{Name: "present_value", Types: Floats, Same: "T2", Optional: true},
			{Name: "qk_matmul_output", Types: Floats, Same: "T1", Optional: true},
		},
		Attrs: []AttrSpec{
			{Name: "is_causal", Kind: graph.AttrInt, Default: "0"},
			{Name: "kv_num_heads", Kind: graph.AttrInt, Default: "required with 3 dimensions"},
			{Name: "q_num_heads", Kind: graph.AttrInt, Default: "required with 3 dimensions"},
			{Name: "left_window_size", Kind: graph.AttrInt, Default: "-1: unbounded"},
			{Name: "right_window_size", Kind: graph.AttrInt, Default: "-1: unbounded"},
			{Name: "qk_matmul_output_mode", Kind: graph.AttrInt, Default: "0: scores; 1: after softcap; 2: after bias; 3: after softmax"},
			{Name: "scale", Kind: graph.AttrFloat, Default: "1/sqrt(D)"},
			{Name: "softcap", Kind: graph.AttrFloat, Default: "0: none"},
			{Name: "softmax_precision", Kind: graph.AttrElem, Default: "the type of Q"},
		},
		Infer: inferAttention, Cost: costAttention, Decompose: decomposeAttention, Class: Contraction,
	})
}

// attention is the geometry of an Attention.
type attention struct {
	batch, seq, head, valueHead dim.Dim
	heads, kvHeads              int64
	past, keys                  dim.Dim // keys: with the past
	flat                        bool    // heads are packed in the last of 3 dimensions
	left, right                 int64   // windows, -1 for none
	causal                      bool
}

func attentionOf(c *graph.Call) (attention, error) {
	var a attention
	q, k, v := c.Type(attnQ), c.Type(attnK), c.Type(attnV)
	bad := func(format string, args ...any) (attention, error) {
		return a, fmt.Errorf("%s, %s and %s: %s", describe(c, attnQ), describe(c, attnK), describe(c, attnV), fmt.Sprintf(format, args...))
	}
	if k.Rank() != q.Rank() || v.Rank() != q.Rank() {
		return bad("the ranks differ")
	}
	var kBatch, vBatch, vKeys, kHead dim.Dim
	switch q.Rank() {
	case 4:
		if c.Attrs.Has("q_num_heads") || c.Attrs.Has("kv_num_heads") {
			return bad("q_num_heads and kv_num_heads are for 3 dimensions only")
		}
		h, ok1 := q.Shape[1].Const()
		hk, ok2 := k.Shape[1].Const()
		if !ok1 || !ok2 || !v.Shape[1].Is(hk) {
			return bad("the numbers of heads must be constants, and K and V must have equally many")
		}
		a = attention{batch: q.Shape[0], heads: h, kvHeads: hk, seq: q.Shape[2], head: q.Shape[3], keys: k.Shape[2], valueHead: v.Shape[3]}
		kBatch, vBatch, vKeys, kHead = k.Shape[0], v.Shape[0], v.Shape[2], k.Shape[3]
	case 3:
		a = attention{batch: q.Shape[0], heads: c.Attrs.Int("q_num_heads", 0), kvHeads: c.Attrs.Int("kv_num_heads", 0), seq: q.Shape[1], keys: k.Shape[1], flat: true}
		var ok1, ok2, ok3 bool
		a.head, ok1 = exactDiv(q.Shape[2], a.heads)
		kHead, ok2 = exactDiv(k.Shape[2], a.kvHeads)
		a.valueHead, ok3 = exactDiv(v.Shape[2], a.kvHeads)
		if !ok1 || !ok2 || !ok3 {
			return bad("q_num_heads is %d and kv_num_heads %d; want divisors of the last dimensions", a.heads, a.kvHeads)
		}
		kBatch, vBatch, vKeys = k.Shape[0], v.Shape[0], v.Shape[1]
	default:
		return bad("want [B,heads,S,D] or [B,S,heads*D]")
	}
	switch {
	case !kBatch.Equal(a.batch) || !vBatch.Equal(a.batch):
		return bad("the batches differ")
	case !kHead.Equal(a.head):
		return bad("heads of Q have size %s, of K %s", a.head, kHead)
	case !vKeys.Equal(a.keys):
		return bad("there are %s keys and %s values", a.keys, vKeys)
	case a.kvHeads < 1 || a.heads < 1 || a.heads%a.kvHeads != 0:
		return bad("%d heads cannot share %d heads of K and V", a.heads, a.kvHeads)
	}
	a.causal = c.Attrs.Int("is_causal", 0) != 0
	a.left, a.right = c.Attrs.Int("left_window_size", -1), c.Attrs.Int("right_window_size", -1)
	if a.left < -1 || a.right < -1 || a.left > math.MaxInt32 || a.right > math.MaxInt32 {
		return a, fmt.Errorf("attributes left_window_size %d and right_window_size %d: want -1 or a number of positions", a.left, a.right)
	}
	return a, a.checkCache(c)
}

// checkCache checks past, present and nonpad_kv_seqlen, and adds the past to
// the keys.
func (a *attention) checkCache(c *graph.Call) error {
	if c.Has(attnPastKey) != c.Has(attnPastValue) {
		return fmt.Errorf("past_key and past_value come together")
	}
	if c.Want(1) != c.Want(2) {
		return fmt.Errorf("present_key and present_value come together")
	}
	if (c.Has(attnPastKey) || c.Want(1)) && (c.Type(attnK).Enc != (enc.Encoding{}) || c.Type(attnV).Enc != (enc.Encoding{})) {
		return fmt.Errorf("%s and %s: an encoded cache is updated by TensorScatter, not joined to a past", describe(c, attnK), describe(c, attnV))
	}
	if c.Has(attnPastKey) {
		pk, pv := c.Type(attnPastKey).Shape, c.Type(attnPastValue).Shape
		if len(pk) != 4 || len(pv) != 4 ||
			!pk.Equal(dim.Shape{a.batch, dim.Of(a.kvHeads), pk[2], a.head}) || !pv.Equal(dim.Shape{a.batch, dim.Of(a.kvHeads), pk[2], a.valueHead}) {
			return fmt.Errorf("%s and %s: want [%s,%d,P,%s] and [%s,%d,P,%s]", describe(c, attnPastKey), describe(c, attnPastValue),
				a.batch, a.kvHeads, a.head, a.batch, a.kvHeads, a.valueHead)
		}
		a.past = pk[2]
		a.keys = a.past.Add(a.keys)
	}
	if c.Has(attnNonpad) {
		if c.Has(attnPastKey) || c.Want(1) {
			return fmt.Errorf("nonpad_kv_seqlen tells that K and V are the whole cache: past and present have no place then")
		}
		if s := c.Type(attnNonpad).Shape; !s.Equal(dim.Shape{a.batch}) {
			return fmt.Errorf("%s: want [%s], one number for each sample", describe(c, attnNonpad), a.batch)
		}
	}
	return nil
}

// scores returns the shape of the attention matrix.
func (a *attention) scores() dim.Shape {
	return dim.Shape{a.batch, dim.Of(a.heads), a.seq, a.keys}
}

// maskPad returns how many keys the mask falls short of: those are masked.
func (a *attention) maskPad(c *graph.Call) (dim.Dim, error) {
	s := c.Type(attnMask).Shape
	if len(s) == 0 || len(s) > 4 {
		return dim.Dim{}, fmt.Errorf("%s: want a mask that broadcasts to %s", describe(c, attnMask), a.scores())
	}
	pad := a.keys.Sub(s[len(s)-1])
	if lo, _ := bounds(c, pad); lo < 0 {
		return pad, fmt.Errorf("%s: its last dimension may exceed the %s keys", describe(c, attnMask), a.keys)
	}
	full := append(dim.Shape{}, s...)
	full[len(s)-1] = a.keys
	if err := broadcastsTo(full, a.scores()); err != nil {
		return pad, fmt.Errorf("%s does not broadcast to %s: %w", describe(c, attnMask), a.scores(), err)
	}
	return pad, nil
}

func inferAttention(c *graph.Call) ([]graph.Type, error) {
	a, err := attentionOf(c)
	if err != nil {
		return nil, err
	}
	if c.Has(attnMask) {
		if e := c.Type(attnMask).Elem; e != enc.Bool && e != c.Type(attnQ).Elem {
			return nil, fmt.Errorf("%s: want bool, or the type of Q, %s", describe(c, attnMask), c.Type(attnQ).Elem)
		}
		if _, err := a.maskPad(c); err != nil {
			return nil, err
		}
	}
	if m := c.Attrs.Int("qk_matmul_output_mode", 0); m < 0 || m > 3 {
		return nil, fmt.Errorf("attribute qk_matmul_output_mode is %d; want 0, 1, 2 or 3", m)
	}
	if e := c.Attrs.Elem("softmax_precision", enc.F32); !e.IsFloat() {
		return nil, fmt.Errorf("attribute softmax_precision is %s; want one of %s", e, Floats)
	}
	t1, t2 := c.Type(attnQ).Elem, c.Type(attnV).Elem
	y := dim.Shape{a.batch, dim.Of(a.heads), a.seq, a.valueHead}
	if a.flat {
		y = dim.Shape{a.batch, a.seq, a.valueHead.MulInt(a.heads)}
	}
	kv := dim.Of(a.kvHeads)
	return []graph.Type{
		graph.Of(t1, y...),
		graph.Of(t1, a.batch, kv, a.keys, a.head),
		graph.Of(t2, a.batch, kv, a.keys, a.valueHead),
		graph.Of(t1, a.scores()...),
	}[:len(c.Out)], nil
}

func costAttention(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) {
	k, err := MoveCost(c, out, b)
	if err != nil {
		return Cost{}, err
	}
	a, err := attentionOf(c)
	if err != nil {
		return Cost{}, err
	}
	n, err := elements(graph.Of(enc.F32, a.scores()...), b)
	if err != nil {
		return Cost{}, err
	}
	d, err := a.head.Add(a.valueHead).Eval(b)
	k.FLOPs = n * (2*float64(d) + 5) // two products, and the softmax
	return k, err
}

// decomposeAttention follows ONNX's function body, but for three things that
// do not change what is computed: heads of Q that share a K/V head become
// rows of one product, where ONNX would copy K and V; the mask is a condition
// rather than a sum of infinities; and only float16 scales Q and K by the
// square root each, as other types cannot overflow.
func decomposeAttention(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	d := rebind(b, c, in)
	a, err := attentionOf(d)
	if err != nil {
		return nil, err
	}
	t1, t2 := b.Type(in[attnQ]).Elem, b.Type(in[attnV]).Elem
	kv := dim.Of(a.kvHeads)
	q, k, v := in[attnQ], cast(b, in[attnK], t1), cast(b, in[attnV], t2)
	if a.flat {
		q, k, v = splitHeads(b, q, a.heads, a.head), splitHeads(b, k, a.kvHeads, a.head), splitHeads(b, v, a.kvHeads, a.valueHead)
	}
	if input(in, attnPastKey) != graph.NoValue {
		k = b.Op("Concat", values{in[attnPastKey], k}, graph.Int("axis", 2))
		v = b.Op("Concat", values{in[attnPastValue], v}, graph.Int("axis", 2))
	}
	presentKey, presentValue := k, v

	// scores = scale * Q K'
	scale, err := attentionScale(c, a.head)
	if err != nil {
		return nil, err
	}
	rows := a.seq.MulInt(a.heads / a.kvHeads)
	q = reshape(b, q, a.batch, kv, rows, a.head)
	k = b.Op("Transpose", values{k}, graph.Ints("perm", 0, 1, 3, 2))
	if t1 == enc.F16 {
		root := scalar(b, t1, math.Sqrt(scale))
		q, k = b.Op("Mul", values{q, root}), b.Op("Mul", values{k, root})
	} else {
		q = b.Op("Mul", values{q, scalar(b, t1, scale)})
	}
	scores := reshape(b, b.Op("MatMul", values{q, k}), a.scores()...)
	raw := scores
	if f := c.Attrs.Float("softcap", 0); f != 0 {
		f := scalar(b, t1, float64(f))
		scores = b.Op("Mul", values{b.Op("Tanh", values{b.Op("Div", values{scores, f})}), f})
	}
	capped := scores

	seen, bias, err := a.masks(b, d, in)
	if err != nil {
		return nil, err
	}
	if bias != graph.NoValue {
		scores = b.Op("Add", values{scores, bias})
	}
	if seen != graph.NoValue {
		scores = b.Op("Where", values{seen, scores, scalar(b, t1, math.Inf(-1))})
	}
	biased := scores

	probs := cast(b, b.Op("Softmax", values{cast(b, scores, c.Attrs.Elem("softmax_precision", t1))}), t1)
	if seen != graph.NoValue {
		// The softmax of a row of -Inf is NaN; it is to be 0.
		probs = b.Op("Where", values{seen, probs, scalar(b, t1, 0)})
	}
	y := b.Op("MatMul", values{reshape(b, probs, a.batch, kv, rows, a.keys), cast(b, v, t1)})
	y = reshape(b, y, a.batch, dim.Of(a.heads), a.seq, a.valueHead)
	if a.flat {
		y = b.Op("Transpose", values{y}, graph.Ints("perm", 0, 2, 1, 3))
		y = reshape(b, y, a.batch, a.seq, a.valueHead.MulInt(a.heads))
	}
	return wanted(c,
		func() graph.ValueID { return y },
		func() graph.ValueID { return presentKey },
		func() graph.ValueID { return presentValue },
		func() graph.ValueID {
			return []graph.ValueID{raw, capped, biased, probs}[c.Attrs.Int("qk_matmul_output_mode", 0)]
		},
	), b.Err()
}

// splitHeads turns [B,S,heads*size] into [B,heads,S,size].
func splitHeads(b *graph.Builder, v graph.ValueID, heads int64, size dim.Dim) graph.ValueID {
	s := b.Type(v).Shape
	if len(s) != 3 {
		return v // after an error
	}
	return b.Op("Transpose", values{reshape(b, v, s[0], s[1], dim.Of(heads), size)}, graph.Ints("perm", 0, 2, 1, 3))
}

// attentionScale returns the factor of the scores, rounded to float32 as
// ONNX's function body computes it.
func attentionScale(c *graph.Call, head dim.Dim) (float64, error) {
	if c.Attrs.Has("scale") {
		return float64(c.Attrs.Float("scale", 1)), nil
	}
	n, ok := head.Const()
	if !ok || n < 1 {
		return 0, fmt.Errorf("the scale of heads of symbolic size %s must be given", head)
	}
	return float64(float32(1 / math.Sqrt(float64(n)))), nil
}

// masks returns the condition under which a query sees a key, and the bias to
// add to the scores, NoValue where there is none.
func (a *attention) masks(b *graph.Builder, c *graph.Call, in []graph.ValueID) (seen, bias graph.ValueID, err error) {
	seen, bias = graph.NoValue, graph.NoValue
	and := func(v graph.ValueID) {
		if seen != graph.NoValue {
			v = b.Op("And", values{seen, v})
		}
		seen = v
	}
	if mask := input(in, attnMask); mask != graph.NoValue {
		pad, err := a.maskPad(c)
		if err != nil {
			return seen, bias, err
		}
		elem := b.Type(mask).Elem
		fill := 0.0 // false
		if elem != enc.Bool {
			fill = math.Inf(-1)
		}
		if !pad.Is(0) {
			mask = b.Op("Pad", values{mask, b.Dims(dim.Of(0), pad), scalar(b, elem, fill), b.Ints(-1)})
		}
		if elem == enc.Bool {
			and(mask)
		} else {
			bias = mask
			and(b.Op("Not", values{b.Op("Equal", values{mask, scalar(b, elem, fill)})}))
		}
	}
	nonpad := input(in, attnNonpad)
	if nonpad != graph.NoValue {
		nonpad = b.Op("Unsqueeze", values{nonpad, b.Ints(1, 2, 3)})
	}
	key := graph.NoValue
	if a.causal || a.left >= 0 || a.right >= 0 || nonpad != graph.NoValue {
		key = counting(b, a.keys)
	}
	if a.causal || a.left >= 0 || a.right >= 0 {
		// pos is the absolute position of each query, as a column.
		pos := b.Op("Unsqueeze", values{counting(b, a.seq), b.Ints(1)})
		switch {
		case nonpad != graph.NoValue:
			offset := b.Op("Sub", values{nonpad, dimScalar(b, a.seq)})
			pos = b.Op("Add", values{pos, offset}) // [B,1,S,1]
		case !a.past.Is(0):
			pos = b.Op("Add", values{pos, dimScalar(b, a.past)})
		}
		right := a.right
		if a.causal {
			right = 0
		}
		shifted := func(n int64) graph.ValueID {
			if n == 0 {
				return pos
			}
			return b.Op("Add", values{pos, dimScalar(b, dim.Of(n))})
		}
		if right >= 0 {
			and(b.Op("Less", values{key, shifted(right + 1)}))
		}
		if a.left >= 0 {
			and(b.Op("Less", values{shifted(-a.left - 1), key}))
		}
	}
	if nonpad != graph.NoValue && !a.causal {
		// Causal queries end at the last token, so they never see padding.
		and(b.Op("Less", values{key, nonpad}))
	}
	return seen, bias, nil
}
