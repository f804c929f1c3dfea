package conformance_test

import (
	"testing"

	"github.com/heddle-ml/heddle/conformance"
	"github.com/heddle-ml/heddle/drivers/cpu"
)

func TestCPU(t *testing.T) {
	conformance.Test(t, cpu.Driver{}, conformance.Options{})
}
