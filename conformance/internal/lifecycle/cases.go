package lifecycle

import (
	"context"
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
)

// Cases returns the cases of the group.
func Cases() []suite.Case {
	return slices.Concat(driverCases(), capsCases(), openCases(), cycleCases(), closedCases(), manyCases(), supportCases())
}

func skeleton(id string, f func(ctx context.Context, e *suite.Env) error) suite.Case {
	return suite.Case{ID: "lifecycle." + id, Profiles: suite.Skeleton, Run: f}
}
