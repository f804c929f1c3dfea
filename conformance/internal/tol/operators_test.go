package tol

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// Rules of single operators name operators that there are, widen something,
// say why, and still let no small gain, no dropped term and no wrong row pass.
func TestOperators(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	for name, r := range Operators {
		op := ops.Get("", name)
		require.NotNil(t, op, name)
		class := Table[op.Class]
		require.Less(t, r.Units, 64.0, name)
		require.NotEmpty(t, r.Why, name)
		require.True(t, r.Units > class.Units || r.Sum > class.Sum || r.Growth > class.Growth || r.Codes > class.Codes, "%s needs no rule of its own", name)

		j := Judge{Class: op.Class, K: 1, Nodes: 1, Operators: []string{name}}
		want := tensor(enc.F32, 600, func(int) float64 { return rnd.NormFloat64() })
		for what, f := range map[string]func(i int, v float64) float64{
			"a gain of 1.001":  func(_ int, v float64) float64 { return v * 1.001 },
			"a small gain":     func(_ int, v float64) float64 { return v * 1.00003 },
			"a term too few":   func(i int, v float64) float64 { return v - float64(i/599)*0.01 },
			"another row":      func(i int, _ float64) float64 { return want.F[(i+30)%600] },
			"f16 for f32":      func(_ int, v float64) float64 { return round(enc.F16, v) },
			"a constant":       func(_ int, v float64) float64 { return v + 1e-4 },
			"a sign somewhere": func(i int, v float64) float64 { return v * float64(1-i/599*2) },
		} {
			_, err := j.Compare(want, tensor(enc.F32, 600, func(i int) float64 { return f(i, want.F[i]) }))
			require.Error(t, err, "%s: %s", name, what)
		}
		_, err := j.Compare(want, want)
		require.NoError(t, err, name)
	}
}
