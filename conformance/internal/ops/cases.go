package ops

import (
	"fmt"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Cases returns the cases of the group.
func Cases() []suite.Case {
	var out []suite.Case
	for _, s := range [][3]int64{{1, 1, 1}, {129, 4304, 17}} {
		out = append(out, suite.Numeric(fmt.Sprintf("ops.matmul.f32.m%d_k%d_n%d", s[0], s[1], s[2]), suite.Vision|suite.Language, func(l *suite.Lab) {
			l.Out(l.B.Op("MatMul", []graph.ValueID{l.In(enc.F32, suite.Between(-1, 1), s[0], s[1]), l.Weight(enc.F32, enc.Encoding{}, s[1], s[2])}))
		}))
		out = append(out, suite.Decomposed(fmt.Sprintf("ops.gelu.f32.m%d_k%d.decomposed", s[0], s[1]), suite.Vision|suite.Language, func(l *suite.Lab) {
			l.Out(l.B.Op("Gelu", []graph.ValueID{l.In(enc.F32, suite.Between(-4, 4), s[0], s[1])}))
		}))
	}
	return out
}
