package models_test

import (
	"testing"

	"github.com/heddle-ml/heddle/conformance/internal/models"
	"github.com/heddle-ml/heddle/conformance/internal/try"
	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/stretchr/testify/require"
)

// Every case passes on the CPU.
func TestCPU(t *testing.T) {
	b, err := try.Open(t.Context(), cpu.Driver{}, "")
	require.NoError(t, err)
	defer b.Close()
	for _, c := range models.Cases() {
		t.Run(c.ID, func(t *testing.T) {
			e, err := b.Run(t.Context(), c)
			for _, n := range e.Notes() {
				t.Log(n)
			}
			require.NoError(t, err)
		})
	}
}
