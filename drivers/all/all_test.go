package all_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	_ "github.com/heddle-ml/heddle/drivers/all"
	"github.com/heddle-ml/heddle/hal"
)

func TestDrivers(t *testing.T) {
	require.Equal(t, []string{"cpu", "null", "plugin"}, hal.Default.Names())
	for _, rep := range hal.Devices(t.Context()) {
		require.NotEmpty(t, rep.Summary, rep.Name)
		if rep.Err != nil {
			require.True(t, hal.IsUnavailable(rep.Err), "not here, because: %v", rep.Err)
		}
	}
}
