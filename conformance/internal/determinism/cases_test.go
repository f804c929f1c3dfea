package determinism_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/heddle-ml/heddle/conformance/internal/determinism"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/conformance/internal/try"
	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/hal/fault"
	"github.com/stretchr/testify/require"
)

// The CPU claims determinism, and keeps it.
func TestCPU(t *testing.T) {
	b, err := try.Open(t.Context(), cpu.Driver{}, "")
	require.NoError(t, err)
	defer b.Close()
	for _, c := range determinism.Cases() {
		t.Run(c.ID, func(t *testing.T) {
			_, err := b.Run(t.Context(), c)
			require.NoError(t, err)
		})
	}
}

// Last bits that flip seldom are noticed, in each way to run.
func TestJitter(t *testing.T) {
	for _, c := range determinism.Cases() {
		if !strings.Contains(c.ID, "matmul.m70") {
			continue
		}
		var struck atomic.Int64
		b, err := try.Open(t.Context(), fault.Driver(cpu.Driver{}, fault.Fault{Kind: fault.Jitter, Struck: func() { struck.Add(1) }}), "")
		require.NoError(t, err)
		_, err = b.Run(t.Context(), c)
		require.ErrorContains(t, err, "differs from the first run's", c.ID)
		require.Positive(t, struck.Load())
		require.NoError(t, b.Close())
	}
}

// Whoever claims nothing is not tested.
func TestNotClaimed(t *testing.T) {
	b, err := try.Open(t.Context(), null.Driver{}, "")
	require.NoError(t, err)
	defer b.Close()
	_, err = b.Run(t.Context(), determinism.Cases()[0])
	require.True(t, suite.IsUnsupported(err))
}
