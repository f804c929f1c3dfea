//go:build !unix

package isolation

import (
	"os"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
)

func stop(*os.Process) error { return suite.Unsupported("processes cannot be stopped here") }
