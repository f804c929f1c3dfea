package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
)

// Cases returns the cases of the group.
func Cases() []suite.Case {
	return slices.Concat(allocCases(), mapCases(), moveCases(), argumentCases(), limitCases(), shareCases())
}

// skeleton is a case that every device passes, on the validated device of the
// environment.
func skeleton(id string, f func(ctx context.Context, e *suite.Env, r *rig.Rig) error) suite.Case {
	return suite.Case{ID: "memory." + id, Profiles: suite.Skeleton, Run: func(ctx context.Context, e *suite.Env) error {
		return rig.On(e.Device, func(r *rig.Rig) error { return f(ctx, e, r) })
	}}
}

// zeros returns nil, or where a content is not zero.
func zeros(what string, b []byte) error {
	for i, x := range b {
		if x != 0 {
			return fmt.Errorf("%s of %d bytes is not zeroed: byte %d is %#02x", what, len(b), i, x)
		}
	}
	return nil
}
