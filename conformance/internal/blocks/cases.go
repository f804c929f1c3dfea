package blocks

import (
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
)

// Cases returns the cases of the group.
func Cases() []suite.Case { return slices.Concat(weightCases(), visionCases(), languageCases()) }
