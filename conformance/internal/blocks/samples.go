package blocks

import (
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Sample is a graph that other groups run in their own ways.
type Sample struct {
	Name  string
	Build func(l *suite.Lab)
}

// Samples are a few of the group's graphs.
func Samples() []Sample {
	w4 := small
	w4.stored, w4.kv = enc.Blocked(enc.I4, 1, 32), enc.Blocked(enc.I8, 3, 16)
	v := vit{width: 64, mlp: 160, heads: 4, act: "gelu_tanh"}
	return []Sample{
		{"vit.f32", v.graph(enc.Encoding{}, 2, 49)},
		{"vit.w8", v.graph(enc.PerChannel(enc.I8, 0), 2, 49)},
		{"patches.f32", func(l *suite.Lab) {
			n := &net{Lab: l}
			l.Out(patches(n, n.input(dim.Ofs(2, 3, 56, 56)...), 56, 14, 96))
		}},
		{"decoder.f32", small.numeric([]int64{13, 1, 5, 1})},
		{"decoder.w4.kv_i8", w4.numeric([]int64{13, 1, 5, 1})},
	}
}
