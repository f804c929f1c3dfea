//go:build !linux

package isolate

import (
	"context"
	"fmt"
	"runtime"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Driver returns a driver whose devices cannot be opened: isolation needs
// Linux.
func Driver(name string, in driver.Driver, _ Options) driver.Driver {
	return unavailable{infoOf(name, in)}
}

// Attack fails: isolation needs Linux.
func Attack(_ context.Context, name, _ string, in driver.Driver, _ Options, _ *graph.Graph, _ graph.Data, _ int, _ uint64) (AttackReport, error) {
	return AttackReport{}, unavailable{infoOf(name, in)}.err()
}

type unavailable struct{ info driver.Info }

func (u unavailable) err() error {
	return fmt.Errorf("isolation is not available on %s: open %s with isolate=0: %w", runtime.GOOS, u.info.Name, driver.ErrUnavailable)
}

func (u unavailable) Info() driver.Info                                  { return u.info }
func (u unavailable) Probe(context.Context) ([]driver.DeviceInfo, error) { return nil, u.err() }
func (u unavailable) Open(context.Context, string, driver.OpenOptions) (driver.Device, error) {
	return nil, u.err()
}
