package ops

import (
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
)

// tables are the families of operators.
func tables() []operator {
	return slices.Concat(functions(), arithmetic(), types(), moves(), indexed(), reductions(), products(), windows(), resizes(), norms(), attentions(), quantized())
}

// Cases returns the cases of the group.
func Cases() []suite.Case {
	var out []suite.Case
	for _, o := range tables() {
		out = append(out, o.cases()...)
	}
	out = append(out, matrices()...)
	out = append(out, encoded()...)
	out = append(out, caches()...)
	out = append(out, hostile()...)
	return out
}
