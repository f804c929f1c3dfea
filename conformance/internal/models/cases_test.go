package models_test

import (
	"regexp"
	"testing"

	"github.com/heddle-ml/heddle/conformance/internal/models"
	"github.com/heddle-ml/heddle/conformance/internal/try"
	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/stretchr/testify/require"
)

// Every case passes on the CPU.
func TestCPU(t *testing.T) { pass(t, cpu.Driver{}, "") }

// And on a device that takes static shapes only.
func TestStatic(t *testing.T) {
	pass(t, try.Static(cpu.Driver{}), `one_tile|four_tiles|second_turn|two_pictures|static`)
}

func pass(t *testing.T, d driver.Driver, match string) {
	b, err := try.Open(t.Context(), d, "")
	require.NoError(t, err)
	defer b.Close()
	for _, c := range models.Cases() {
		if !regexp.MustCompile(match).MatchString(c.ID) {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			e, err := b.Run(t.Context(), c)
			for _, n := range e.Notes() {
				t.Log(n)
			}
			require.NoError(t, err)
		})
	}
}
