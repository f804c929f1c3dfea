package ops

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func init() {
	const types = TypeSet(1<<enc.F32 | 1<<enc.F16 | 1<<enc.BF16)
	Register(Op{
		Ref: onnx("RotaryEmbedding", 23),
		Doc: "Rotates pairs of elements of each head by the angle of the token's position: the halves of the head, or neighbours if interleaved. " +
			"X is [B,heads,S,D], or [B,S,heads*D] with num_heads. The caches hold cosines and sines: [positions,R/2] picked by position_ids [B,S], else [B,S,R/2]. " +
			"Only the first R = rotary_embedding_dim elements turn; 0 stands for all of them.",
		Inputs: []Param{
			{Name: "X", Types: types, Same: "T"},
			{Name: "cos_cache", Types: types, Same: "T"},
			{Name: "sin_cache", Types: types, Same: "T"},
			{Name: "position_ids", Types: i64Only, Optional: true},
		},
		Outputs: in1("Y", types),
		Attrs: []AttrSpec{
			{Name: "interleaved", Kind: graph.AttrInt, Default: "0"},
			{Name: "num_heads", Kind: graph.AttrInt, Default: "0; required if X has 3 dimensions"},
			{Name: "rotary_embedding_dim", Kind: graph.AttrInt, Default: "0: the head size"},
		},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			if _, err := ropeOf(c); err != nil {
				return nil, err
			}
			return likeFirst(c)
		},
		Cost: costRope, Decompose: decomposeRope, Class: Rounded,
	})
}

// rope is the layout of a RotaryEmbedding.
type rope struct {
	batch, heads, seq dim.Dim
	head              dim.Dim // size of a head
	rotate            dim.Dim // how much of it turns
	flat              bool    // X is [B,S,heads*D]
}

func ropeOf(c *graph.Call) (rope, error) {
	var r rope
	s := c.Type(0).Shape
	switch len(s) {
	case 4:
		r = rope{batch: s[0], heads: s[1], seq: s[2], head: s[3]}
	case 3:
		n := c.Attrs.Int("num_heads", 0)
		d, ok := exactDiv(s[2], n)
		if !ok {
			return r, fmt.Errorf("%s: attribute num_heads is %d; want a divisor of %s", describe(c, 0), n, s[2])
		}
		r = rope{batch: s[0], heads: dim.Of(n), seq: s[1], head: d, flat: true}
	default:
		return r, fmt.Errorf("%s: want [B,heads,S,D] or [B,S,heads*D]", describe(c, 0))
	}
	r.rotate = r.head
	if n := c.Attrs.Int("rotary_embedding_dim", 0); n != 0 {
		if _, hi := bounds(c, r.head.AddInt(-n)); n < 0 || hi < 0 {
			return r, fmt.Errorf("attribute rotary_embedding_dim is %d, a head of %s has %s", n, describe(c, 0), r.head)
		}
		r.rotate = dim.Of(n)
	}
	half, ok := exactDiv(r.rotate, 2)
	if !ok {
		return r, fmt.Errorf("%s: %s elements of a head cannot turn in pairs", describe(c, 0), r.rotate)
	}
	want := dim.Shape{r.batch, r.seq, half}
	form := "[B,S,R/2]"
	if c.Has(3) {
		if p := c.Type(3).Shape; !p.Equal(dim.Shape{r.batch, r.seq}) {
			return r, fmt.Errorf("%s does not fit %s: want [%s,%s]", describe(c, 3), describe(c, 0), r.batch, r.seq)
		}
		want = dim.Shape{dim.Of(0), half} // any number of positions
		form = "[positions,R/2]"
	}
	for i := 1; i <= 2; i++ {
		s := c.Type(i).Shape
		if c.Has(3) && i == 1 && len(s) == 2 {
			want[0] = s[0] // and the sines must have as many
		}
		if !s.Equal(want) {
			return r, fmt.Errorf("%s does not fit %s: want %s with R/2 = %s", describe(c, i), describe(c, 0), form, half)
		}
	}
	return r, nil
}

func costRope(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) {
	d := *c
	if c.Has(3) {
		// Only one row of the caches is read for each token.
		d.In = []*graph.Value{c.In[0], nil, nil, c.In[3]}
	}
	k, err := MoveCost(&d, out, b)
	k.FLOPs *= 3
	return k, err
}

func decomposeRope(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	r, err := ropeOf(rebind(b, c, in))
	if err != nil {
		return nil, err
	}
	x, cos, sin := in[0], in[1], in[2]
	if pos := input(in, 3); pos != graph.NoValue {
		cos, sin = b.Op("Gather", values{cos, pos}), b.Op("Gather", values{sin, pos})
	}
	// Give the caches a dimension of 1 where X has its heads.
	heads := int64(1)
	if r.flat {
		heads = 2
		x = reshape(b, x, r.batch, r.seq, r.heads, r.head)
	}
	cos, sin = b.Op("Unsqueeze", values{cos, b.Ints(heads)}), b.Op("Unsqueeze", values{sin, b.Ints(heads)})

	var tail graph.ValueID
	still := r.head.Sub(r.rotate)
	if !still.Is(0) {
		parts := b.Ops("Split", values{x, b.Dims(r.rotate, still)}, []bool{true, true}, graph.Int("axis", 3))
		if parts == nil {
			return nil, b.Err()
		}
		x, tail = parts[0], parts[1]
	}
	interleaved := c.Attrs.Int("interleaved", 0) != 0
	half, _ := exactDiv(r.rotate, 2)
	turned := dim.Shape{r.batch, r.heads, r.seq, r.rotate}
	if r.flat {
		turned[1], turned[2] = r.seq, r.heads
	}
	var x1, x2 graph.ValueID
	if interleaved {
		// [..., R] as [..., R/2, 2]
		pairs := b.Ops("Split", values{reshape(b, x, turned[0], turned[1], turned[2], half, dim.Of(2)), b.Ints(1, 1)}, []bool{true, true}, graph.Int("axis", 4))
		if pairs == nil {
			return nil, b.Err()
		}
		x1, x2 = b.Op("Squeeze", values{pairs[0], b.Ints(4)}), b.Op("Squeeze", values{pairs[1], b.Ints(4)})
	} else {
		halves := b.Ops("Split", values{x, b.Dims(half, half)}, []bool{true, true}, graph.Int("axis", 3))
		if halves == nil {
			return nil, b.Err()
		}
		x1, x2 = halves[0], halves[1]
	}
	mul := func(p, q graph.ValueID) graph.ValueID { return b.Op("Mul", values{p, q}) }
	re := b.Op("Sub", values{mul(cos, x1), mul(sin, x2)})
	im := b.Op("Add", values{mul(sin, x1), mul(cos, x2)})
	var y graph.ValueID
	if interleaved {
		last := b.Ints(4)
		y = b.Op("Concat", values{b.Op("Unsqueeze", values{re, last}), b.Op("Unsqueeze", values{im, last})}, graph.Int("axis", 4))
		y = reshape(b, y, turned...)
	} else {
		y = b.Op("Concat", values{re, im}, graph.Int("axis", 3))
	}
	if !still.Is(0) {
		y = b.Op("Concat", values{y, tail}, graph.Int("axis", 3))
	}
	return decomposed(b, reshape(b, y, b.Type(in[0]).Shape...))
}
