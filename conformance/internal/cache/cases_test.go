package cache_test

import (
	"testing"

	"github.com/heddle-ml/heddle/conformance/internal/cache"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/conformance/internal/try"
	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/fault"
	"github.com/stretchr/testify/require"
)

// never makes hal/fault add its correct cache to a driver without one, and
// strikes no call.
var never = fault.Fault{Kind: fault.CacheWrong, After: 1 << 30}

func run(t *testing.T, d driver.Driver) map[string]error {
	t.Helper()
	b, err := try.Open(t.Context(), d, "")
	require.NoError(t, err)
	defer b.Close()
	out := map[string]error{}
	for _, c := range cache.Cases() {
		_, out[c.ID] = b.Run(t.Context(), c)
	}
	return out
}

// A correct cache passes, and a device without one is left in peace.
func TestGood(t *testing.T) {
	for id, err := range run(t, fault.Driver(cpu.Driver{}, never)) {
		require.NoError(t, err, id)
	}
	for id, err := range run(t, cpu.Driver{}) {
		require.True(t, suite.IsUnsupported(err), "%s: %v", id, err)
	}
}
