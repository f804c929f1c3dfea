package blocks_test

import (
	"testing"

	"github.com/heddle-ml/heddle/conformance/internal/blocks"
	"github.com/heddle-ml/heddle/conformance/internal/try"
	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/stretchr/testify/require"
)

// Every case passes on the CPU.
func TestCPU(t *testing.T) { pass(t, cpu.Driver{}) }

// And on a device that takes static shapes only.
func TestStatic(t *testing.T) { pass(t, try.Static(cpu.Driver{})) }

func pass(t *testing.T, d driver.Driver) {
	b, err := try.Open(t.Context(), d, "")
	require.NoError(t, err)
	defer b.Close()
	for _, c := range blocks.Cases() {
		t.Run(c.ID, func(t *testing.T) {
			e, err := b.Run(t.Context(), c)
			require.NoError(t, err)
			if s := e.Stats(); s != nil {
				t.Logf("worst %.3g nmse %.3g bias %.3g", s.Worst, s.NMSE/s.NMSELimit, s.Bias/s.BiasLimit)
			}
		})
	}
}
