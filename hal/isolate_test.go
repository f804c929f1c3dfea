package hal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Foreign drivers are opened in a child process, which this program does not
// offer: the error says so, and what to do. Nothing of the driver runs here.
func TestForeignDriversAreIsolated(t *testing.T) {
	t.Setenv("HEDDLE_HOST", "")
	ctx := within(t)
	foreign, probing := newFake("foreign"), newFake("probing")
	foreign.info.Foreign = true
	probing.info.Foreign, probing.info.ForeignProbe = true, true
	for _, f := range []*fake{foreign, probing} {
		f.open = func(string, driver.OpenOptions) (driver.Device, error) {
			t.Error("foreign code runs in this process")
			return nil, driver.ErrUnavailable
		}
	}
	probing.probe = nil
	r := hal.NewRegistry(foreign, probing, newFake("ours"))
	for _, name := range []string{"foreign", "foreign:0", "probing", "probing:0", "ours?isolate=1"} {
		_, err := r.Open(ctx, name)
		require.ErrorIs(t, err, hal.ErrUnavailable, name)
		require.ErrorContains(t, err, "heddle-host", name)
		require.ErrorContains(t, err, "isolate=0", name)
	}
	reports := r.Devices(ctx)
	require.NoError(t, reports[0].Err, "foreign: its Probe looks only")
	require.NoError(t, reports[1].Err)
	require.ErrorIs(t, reports[2].Err, hal.ErrUnavailable, "probing")

	_, err := r.Open(ctx, "foreign?isolate=2")
	require.ErrorIs(t, err, hal.ErrInvalidArgument)
	foreign.open = nil
	d, err := r.Open(ctx, "foreign?isolate=0")
	require.NoError(t, err)
	require.NoError(t, d.Close())
	_, err = r.Isolated().Open(ctx, "ours")
	require.ErrorContains(t, err, "heddle-host")
	d, err = r.Isolated().Open(ctx, "ours?isolate=0")
	require.NoError(t, err)
	require.NoError(t, d.Close())
}
