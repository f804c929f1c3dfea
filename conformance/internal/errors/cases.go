package errors

import (
	"context"
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
)

// Cases returns the cases of the group.
func Cases() []suite.Case {
	return slices.Concat(graphCases(), binaryCases(), weightCases(), argumentCases(), dataCases())
}

func skeleton(id string, f func(ctx context.Context, e *suite.Env) error) suite.Case {
	return suite.Case{ID: "errors." + id, Profiles: suite.Skeleton, Run: f}
}
