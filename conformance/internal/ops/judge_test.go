package ops

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// Tolerances know how long the sums of each operator are.
func TestTerms(t *testing.T) {
	in := func(l *suite.Lab, shape ...int64) graph.ValueID { return l.In(enc.F32, unit, shape...) }
	covered := map[string]bool{}
	for _, c := range []struct {
		op    string
		terms int64
		in    func(l *suite.Lab) ids
		attrs attrs
	}{
		{"MatMul", 1152, func(l *suite.Lab) ids { return ids{in(l, 2, 5, 1152), in(l, 1152, 7)} }, nil},
		{"heddle.Linear", 1152, func(l *suite.Lab) ids { return ids{in(l, 5, 1152), in(l, 1152, 7)} }, nil},
		{"Gemm", 33, func(l *suite.Lab) ids { return ids{in(l, 33, 5), in(l, 7, 33)} }, attrs{aInt("transA", 1), aInt("transB", 1)}},
		{"Einsum", 33, func(l *suite.Lab) ids { return ids{in(l, 5, 33), in(l, 33, 7)} }, attrs{aStr("equation", "ij,jk->ik")}},
		{"Conv", 3 * 14 * 14, func(l *suite.Lab) ids { return ids{in(l, 1, 3, 28, 28), in(l, 17, 3, 14, 14)} }, attrs{aInts("strides", 14, 14)}},
		{"ConvTranspose", 2 * 3 * 2, func(l *suite.Lab) ids { return ids{in(l, 1, 4, 5, 3), in(l, 4, 3, 3, 2)} }, attrs{aInt("group", 2)}},
		{"AveragePool", 6, func(l *suite.Lab) ids { return ids{in(l, 1, 3, 8, 8)} }, attrs{aInts("kernel_shape", 3, 2)}},
		{"GlobalAveragePool", 35, func(l *suite.Lab) ids { return ids{in(l, 1, 3, 5, 7)} }, nil},
		{"LayerNormalization", 33, func(l *suite.Lab) ids { return ids{in(l, 5, 33), in(l, 33)} }, nil},
		{"RMSNormalization", 20, func(l *suite.Lab) ids { return ids{in(l, 3, 5, 4), in(l, 4)} }, attrs{aInt("axis", 1)}},
		{"GroupNormalization", 2 * 12, func(l *suite.Lab) ids { return ids{in(l, 2, 6, 4, 3), in(l, 6), in(l, 6)} }, attrs{aInt("num_groups", 3)}},
		{"InstanceNormalization", 12, func(l *suite.Lab) ids { return ids{in(l, 2, 6, 4, 3), in(l, 6), in(l, 6)} }, nil},
		{"MeanVarianceNormalization", 2 * 4 * 3, func(l *suite.Lab) ids { return ids{in(l, 2, 6, 4, 3)} }, nil},
		{"LpNormalization", 6, func(l *suite.Lab) ids { return ids{in(l, 2, 6, 4)} }, attrs{aInt("axis", 1)}},
		{"LRN", 3, func(l *suite.Lab) ids { return ids{in(l, 2, 6, 4, 3)} }, attrs{aInt("size", 3)}},
		{"Attention", 72 + 81, func(l *suite.Lab) ids { return ids{in(l, 1, 2, 9, 72), in(l, 1, 2, 81, 72), in(l, 1, 2, 81, 72)} }, nil},
		{"CumSum", 7, func(l *suite.Lab) ids { return ids{in(l, 3, 7), l.B.Const("", graph.I64(-1).Scalar())} }, nil},
		{"Resize", 2, func(l *suite.Lab) ids { return ids{in(l, 1, 2, 4, 5), none, none, l.B.Ints(1, 2, 4, 9)} }, attrs{aStr("mode", "linear")}},
		{"ReduceSum", 35, func(l *suite.Lab) ids { return ids{in(l, 5, 3, 7), l.B.Ints(0, 2)} }, nil},
		{"ReduceMean", 105, func(l *suite.Lab) ids { return ids{in(l, 5, 3, 7)} }, nil},
		{"ReduceProd", 7, func(l *suite.Lab) ids { return ids{in(l, 5, 7), l.B.Ints(-1)} }, nil},
		{"ReduceL1", 7, func(l *suite.Lab) ids { return ids{in(l, 5, 7), l.B.Ints(-1)} }, nil},
		{"ReduceL2", 7, func(l *suite.Lab) ids { return ids{in(l, 5, 7), l.B.Ints(-1)} }, nil},
		{"ReduceSumSquare", 7, func(l *suite.Lab) ids { return ids{in(l, 5, 7), l.B.Ints(-1)} }, nil},
		{"ReduceLogSum", 7, func(l *suite.Lab) ids { return ids{in(l, 5, 7), l.B.Ints(-1)} }, nil},
		{"ReduceLogSumExp", 7, func(l *suite.Lab) ids { return ids{in(l, 5, 7), l.B.Ints(-1)} }, nil},
	} {
		l := suite.NewLab(c.op)
		l.Out(l.B.Op(c.op, c.in(l), c.attrs...))
		p, err := l.Program()
		require.NoError(t, err, c.op)
		j := suite.JudgeOf(p.Graph, p.Graph.Outputs[0].Value, p.Steps[0])
		require.GreaterOrEqual(t, j.K, c.terms, c.op)
		require.LessOrEqual(t, j.K, 2*c.terms, c.op)
		covered[c.op] = true
	}
	for _, op := range ops.List() {
		if op.Class == ops.Contraction {
			require.True(t, covered[op.Ref.String()], "no entry for %s", op.Ref)
		}
	}
}
