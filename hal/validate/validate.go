package validate

import (
	"context"
	"errors"
	"time"

	"github.com/heddle-ml/heddle/hal/driver"
)

// Options configure validation. The zero value is the default.
type Options struct {
	// Report, if not nil, is told of each violation when it is found. It is
	// called from any goroutine and must not call the device.
	Report func(*Violation)
	// Patience is how long a batch may take before it counts as stalled; 0
	// means one minute.
	Patience time.Duration
}

const defaultPatience = time.Minute

// Driver returns d with everything checked that it opens. Safe for concurrent
// use.
func Driver(d driver.Driver, o Options) driver.Driver { return &checkedDriver{d, o} }

type checkedDriver struct {
	in driver.Driver
	o  Options
}

// Info returns the driver's own.
func (d *checkedDriver) Info() driver.Info { return d.in.Info() }

// Probe returns what the driver found, or a *Violation when that cannot be.
func (d *checkedDriver) Probe(ctx context.Context) ([]driver.DeviceInfo, error) {
	r := &record{report: d.o.Report}
	type found struct{ devs []driver.DeviceInfo }
	f, err := call(r, "Probe", func() (found, error) {
		devs, err := d.in.Probe(ctx)
		return found{devs}, err
	})
	if err != nil {
		var v *Violation
		if !errors.As(err, &v) && ctx.Err() == nil && !errors.Is(err, driver.ErrUnavailable) {
			return nil, errors.Join(err, r.add(RuleProbe, "the error does not wrap ErrUnavailable"))
		}
		return nil, err
	}
	seen := map[string]bool{}
	for i, dev := range f.devs {
		switch {
		case dev.ID == "":
			return nil, r.add(RuleProbe, "device %d has no ID", i)
		case seen[dev.ID]:
			return nil, r.add(RuleProbe, "two devices have ID %q", dev.ID)
		case dev.Kind == "":
			return nil, r.add(RuleProbe, "device %q has no kind", dev.ID)
		}
		seen[dev.ID] = true
	}
	return f.devs, nil
}

// Open opens a device and returns it checked.
func (d *checkedDriver) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	dev, err := call(&record{report: d.o.Report}, "Open", func() (driver.Device, error) { return d.in.Open(ctx, id, o) })
	if err != nil {
		return nil, err
	}
	return Device(dev, d.o), nil
}
