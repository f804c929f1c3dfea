package ops

import (
	"fmt"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

func attentions() []operator {
	return []operator{
		forms("Attention", append(attentionForms(), attentionSizes()...)...),
		forms("RotaryEmbedding", ropes()...),
	}
}

type attrs = []graph.Attr

// heads are queries, keys and values of [2,4|2,...].
func (l *lab) heads(keys dim.Dim) ids {
	return ids{l.x(-1, 1, c(2), c(4), l.n(3), c(8)), l.x(-1, 1, c(2), c(2), keys, c(8)), l.x(-1, 1, c(2), c(2), keys, c(6))}
}

// attentionForms cross layouts, masks, caches and attributes.
func attentionForms() (out []form) {
	causal := aInt("is_causal", 1)
	add := func(name string, want []bool, as attrs, in func(l *lab) ids) {
		out = append(out, use(name, func(l *lab) { l.calls(want, in(l), as...) }))
	}
	y, present, scores := []bool{true}, []bool{true, true, true}, []bool{true, false, false, true}
	qkv := func(l *lab) ids { return l.heads(l.n(5)) }
	add("plain", y, nil, qkv)
	add("packed", y, attrs{aInt("q_num_heads", 4), aInt("kv_num_heads", 2), aFloat("scale", 0.3)}, func(l *lab) ids {
		return ids{l.x(-1, 1, l.n(2), l.n(3), c(32)), l.x(-1, 1, l.n(2), l.n(5), c(16)), l.x(-1, 1, l.n(2), l.n(5), c(12))}
	})
	add("packed_equal", y, attrs{aInt("q_num_heads", 3), aInt("kv_num_heads", 3)}, func(l *lab) ids {
		return ids{l.x(-1, 1, l.n(2), l.n(9), c(24)), l.x(-1, 1, l.n(2), l.n(9), c(24)), l.x(-1, 1, l.n(2), l.n(9), c(24))}
	})
	add("one_group", y, nil, func(l *lab) ids {
		return ids{l.x(-1, 1, c(1), c(5), c(3), c(16)), l.x(-1, 1, c(1), c(1), c(7), c(16)), l.x(-1, 1, c(1), c(1), c(7), c(16))}
	})
	add("softcap", y, attrs{aFloat("softcap", 2), aElem("softmax_precision", enc.F32)}, func(l *lab) ids {
		return append(qkv(l), l.x(-2, 2, c(4), l.n(3), l.n(5)))
	})
	for _, e := range []enc.Elem{enc.F16, enc.BF16, enc.F64} {
		add("precision_"+e.String(), y, attrs{aElem("softmax_precision", e)}, qkv)
	}
	for mode := range int64(4) {
		add(fmt.Sprintf("scores%d", mode), scores, attrs{aInt("qk_matmul_output_mode", mode), aFloat("softcap", 2), causal}, func(l *lab) ids {
			return append(qkv(l), l.x(-2, 2, c(2), c(1), l.n(3), l.n(5)))
		})
	}
	add("scores_packed", scores, attrs{aInt("q_num_heads", 4), aInt("kv_num_heads", 2)}, func(l *lab) ids {
		return ids{l.x(-1, 1, c(2), l.n(3), c(32)), l.x(-1, 1, c(2), l.n(5), c(16)), l.x(-1, 1, c(2), l.n(5), c(12))}
	})
	for _, v := range []struct {
		name string
		as   attrs
	}{{"full", nil}, {"causal", attrs{causal}}, {"left", attrs{aInt("left_window_size", 1)}}, {"window", attrs{aInt("left_window_size", 2), aInt("right_window_size", 1)}}, {"causal_left", attrs{causal, aInt("left_window_size", 2)}}} {
		add(v.name+"_bool_mask", y, v.as, func(l *lab) ids { // short, with an empty row
			return append(l.heads(c(5)), l.list(enc.Bool, []int64{3, 4}, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 1))
		})
		out[len(out)-1].make = fixed(out[len(out)-1].make)
		add(v.name+"_float_mask", y, v.as, func(l *lab) ids {
			return append(qkv(l), l.x(-2, 2, c(2), c(4), l.n(3), l.n(5)))
		})
		add(v.name+"_infinite_mask", y, v.as, func(l *lab) ids {
			return append(l.heads(c(5)), l.list(l.e, []int64{5}, -inf, 0, 1, -inf, -1))
		})
		add(v.name+"_row_mask", y, v.as, func(l *lab) ids { // one value for all keys
			return append(qkv(l), l.of(enc.Bool, 0, 1, l.n(3), c(1)))
		})
		add(v.name+"_past", present, v.as, func(l *lab) ids { // the cache inside
			return append(qkv(l), none, l.x(-1, 1, c(2), c(2), l.n(4), c(8)), l.x(-1, 1, c(2), c(2), l.n(4), c(6)))
		})
		add(v.name+"_past_only", y, v.as, func(l *lab) ids {
			return append(qkv(l), none, l.x(-1, 1, c(2), c(2), l.n(4), c(8)), l.x(-1, 1, c(2), c(2), l.n(4), c(6)))
		})
		add(v.name+"_length", y, v.as, func(l *lab) ids { // the cache outside; one batch element is shorter than its queries
			return append(l.heads(c(5)), none, none, none, l.list(enc.I64, []int64{2}, 4, 1))
		})
		add(v.name+"_length_mask", y, v.as, func(l *lab) ids {
			return append(l.heads(c(5)), l.x(-2, 2, l.n(3), c(5)), none, none, l.list(enc.I64, []int64{2}, 5, 3))
		})
	}
	for _, s := range []struct {
		name  string
		shape []dim.Dim
	}{{"short_mask2", []dim.Dim{c(3), c(4)}}, {"short_mask3", []dim.Dim{c(4), c(3), c(4)}}, {"short_mask4", []dim.Dim{c(2), c(1), c(3), c(4)}}, {"short_mask5", []dim.Dim{c(2), c(4), c(1), c(2)}}} {
		add(s.name, y, nil, func(l *lab) ids { return append(l.heads(c(5)), l.x(-2, 2, s.shape...)) })
		add(s.name+"_bool", y, nil, func(l *lab) ids { return append(l.heads(c(5)), l.of(enc.Bool, 0, 1, s.shape...)) })
		for _, i := range []int{1, 2} {
			out[len(out)-i].make = fixed(out[len(out)-i].make)
		}
	}
	add("present", present, nil, qkv)
	add("packed_past", present, attrs{aInt("q_num_heads", 4), aInt("kv_num_heads", 2), causal}, func(l *lab) ids {
		return ids{l.x(-1, 1, c(2), l.n(3), c(32)), l.x(-1, 1, c(2), l.n(5), c(16)), l.x(-1, 1, c(2), l.n(5), c(12)), none,
			l.x(-1, 1, c(2), c(2), l.n(4), c(8)), l.x(-1, 1, c(2), c(2), l.n(4), c(6))}
	})
	add("packed_present", present, attrs{aInt("q_num_heads", 4), aInt("kv_num_heads", 2)}, func(l *lab) ids {
		return ids{l.x(-1, 1, c(2), l.n(3), c(32)), l.x(-1, 1, c(2), l.n(5), c(16)), l.x(-1, 1, c(2), l.n(5), c(12))}
	})
	add("no_keys", y, nil, func(l *lab) ids { return l.heads(c(0)) })
	add("length_zero", y, nil, func(l *lab) ids { return append(l.heads(c(5)), none, none, none, l.list(enc.I64, []int64{2}, 0, 5)) })
	add("no_head", y, nil, func(l *lab) ids {
		return ids{l.x(-1, 1, c(1), c(2), c(3), c(0)), l.x(-1, 1, c(1), c(2), c(5), c(0)), l.x(-1, 1, c(1), c(2), c(5), c(4))}
	})
	out[len(out)-1].whole = true // its parts want to know the scale
	add("scale", y, attrs{aFloat("scale", 2)}, qkv)
	add("large", y, attrs{aFloat("scale", 10)}, func(l *lab) ids { // scores far apart
		return ids{l.x(-3, 3, c(1), c(2), c(9), c(8)), l.x(-3, 3, c(1), c(2), c(17), c(8)), l.x(-1, 1, c(1), c(2), c(17), c(6))}
	})
	for i := range out {
		if out[i].name == "packed_equal" {
			out[i].profiles = both
		}
	}
	return out
}

// fixed leaves all sizes as they are.
func fixed(make func(l *lab)) func(l *lab) {
	return func(l *lab) {
		was := l.symbolic
		l.symbolic = false
		make(l)
		l.symbolic = was
	}
}

// attentionSizes are those around kernels' blocks (of 64 keys and 96 rows) and
// those of models.
func attentionSizes() (out []form) {
	causal := aInt("is_causal", 1)
	type size struct {
		heads, kv, queries, keys, head int64
		p                              suite.Profile
	}
	sizes := []size{
		{1, 1, 1, 1, 16, both}, {2, 1, 7, 9, 15, both}, {2, 2, 8, 16, 17, both}, {3, 3, 9, 31, 33, both}, {4, 2, 15, 33, 64, both}, {2, 1, 17, 63, 72, both}, {2, 2, 31, 64, 80, both},
		{2, 1, 33, 65, 32, both}, {1, 1, 97, 127, 24, both}, {2, 2, 65, 129, 40, both}, {2, 2, 193, 100, 16, both}, {1, 1, 5, 300, 8, both},
		{16, 16, 9, 81, 72, vision}, {1, 1, 65, 729, 72, vision}, {4, 4, 7, 49, 80, vision},
		{36, 36, 1, 77, 64, text}, {36, 4, 5, 77, 64, text}, {32, 8, 1, 129, 128, text}, {32, 8, 5, 33, 128, text}, {14, 2, 1, 65, 64, text}, {28, 4, 3, 40, 128, text},
	}
	// One query against rows of keys, as in decoding: heads of every length
	// around vectors, keys of every number around groups of rows.
	for head := int64(1); head <= 48; head++ {
		sizes = append(sizes, size{2, 1, 1 + head%3, 4 + head%9, head, beyond})
	}
	for _, s := range sizes {
		kind := fmt.Sprintf("mha%d", s.heads)
		if s.heads != s.kv {
			kind = fmt.Sprintf("gqa%dx%d", s.heads, s.kv)
		}
		name := fmt.Sprintf("%s_d%d_q%d_kv%d", kind, s.head, s.queries, s.keys)
		in := func(l *lab) ids {
			return ids{l.x(-1, 1, c(1), c(s.heads), c(s.queries), c(s.head)), l.x(-1, 1, c(1), c(s.kv), c(s.keys), c(s.head)), l.x(-1, 1, c(1), c(s.kv), c(s.keys), c(s.head))}
		}
		out = append(out,
			use(name+".full", func(l *lab) { l.call(in(l)) }).in(s.p).of(ops.Types(enc.F32, enc.F16)).undivided(),
			use(name+".causal", func(l *lab) { // over a cache that is not full
				l.call(append(in(l), none, none, none, l.list(enc.I64, []int64{1}, float64(max(s.queries, s.keys-3)))), causal)
			}).in(s.p&text).float().undivided(),
			use(name+".mask", func(l *lab) {
				l.call(append(in(l), l.of(enc.Bool, 0, 1, c(s.queries), c(s.keys))))
			}).in(s.p).float().undivided())
		if s.queries > s.keys {
			out[len(out)-2] = use(name+".causal", func(l *lab) { l.call(in(l), causal) }).in(s.p & text).float().undivided()
		}
		if s.head*s.heads%2 == 0 {
			out = append(out, use(name+".packed", func(l *lab) {
				l.call(ids{l.x(-1, 1, c(1), c(s.queries), c(s.heads*s.head)), l.x(-1, 1, c(1), c(s.keys), c(s.kv*s.head)), l.x(-1, 1, c(1), c(s.keys), c(s.kv*s.head))}, aInt("q_num_heads", s.heads), aInt("kv_num_heads", s.kv))
			}).in(s.p&vision).float().undivided())
		}
	}
	return out
}

func ropes() (out []form) {
	angles := func(l *lab, shape ...dim.Dim) ids { return ids{l.x(-1, 1, shape...), l.x(-1, 1, shape...)} }
	out = []form{
		use("angles", func(l *lab) {
			l.call(append(ids{l.x(-1, 1, l.n(2), c(3), l.n(5), c(8))}, angles(l, l.n(2), l.n(5), c(4))...))
		}),
		use("positions", func(l *lab) {
			l.call(append(append(ids{l.x(-1, 1, l.n(2), c(3), l.n(5), c(8))}, angles(l, c(9), c(4))...), l.of(enc.I64, 0, 8, l.n(2), l.n(5))))
		}).in(text),
		use("interleaved", func(l *lab) {
			l.call(append(append(ids{l.x(-1, 1, l.n(2), c(3), l.n(5), c(8))}, angles(l, c(9), c(4))...), l.of(enc.I64, 0, 8, l.n(2), l.n(5))), aInt("interleaved", 1))
		}),
		use("partial", func(l *lab) {
			l.call(append(append(ids{l.x(-1, 1, l.n(2), c(3), l.n(5), c(8))}, angles(l, c(9), c(2))...), l.of(enc.I64, 0, 8, l.n(2), l.n(5))), aInt("rotary_embedding_dim", 4))
		}),
		use("packed", func(l *lab) {
			l.call(append(append(ids{l.x(-1, 1, l.n(2), l.n(5), c(24))}, angles(l, c(9), c(4))...), l.of(enc.I64, 0, 8, l.n(2), l.n(5))), aInt("num_heads", 3))
		}),
		use("packed_interleaved_partial", func(l *lab) {
			l.call(append(append(ids{l.x(-1, 1, l.n(2), l.n(5), c(24))}, angles(l, c(9), c(2))...), l.of(enc.I64, 0, 8, l.n(2), l.n(5))),
				aInt("num_heads", 3), aInt("interleaved", 1), aInt("rotary_embedding_dim", 4))
		}),
	}
	for _, s := range [][3]int64{{36, 5, 64}, {16, 3, 72}, {8, 3, 80}, {32, 1, 128}, {8, 9, 96}} {
		out = append(out, use(fmt.Sprintf("h%d_t%d_d%d", s[0], s[1], s[2]), func(l *lab) {
			l.call(append(append(ids{l.x(-1, 1, c(1), c(s[0]), c(s[1]), c(s[2]))}, angles(l, c(65), c(s[2]/2))...), l.of(enc.I64, 0, 64, c(1), c(s[1]))))
		}).in(text).float())
	}
	return out
}
