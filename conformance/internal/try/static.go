package try

import (
	"context"

	"github.com/heddle-ml/heddle/hal/driver"
)

// Static returns a driver whose devices take static shapes only, as those of
// many NPUs.
func Static(d driver.Driver) driver.Driver { return static{d} }

type static struct{ driver.Driver }

func (s static) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	d, err := s.Driver.Open(ctx, id, o)
	if err != nil {
		return nil, err
	}
	caps := *d.Caps()
	caps.Shapes = driver.ShapeCap{StaticOnly: true, TileBatches: []int64{1, 4}, Chunks: []int64{16}}
	return &staticDevice{d, &caps}, nil
}

type staticDevice struct {
	driver.Device
	caps *driver.Caps
}

func (d *staticDevice) Caps() *driver.Caps { return d.caps }

// As hands on what the device within has.
func (d *staticDevice) As(target any) (ok bool) {
	switch t := target.(type) {
	case *driver.Importer:
		*t, ok = driver.As[driver.Importer](d.Device)
	case *driver.Exporter:
		*t, ok = driver.As[driver.Exporter](d.Device)
	case *driver.Cacher:
		*t, ok = driver.As[driver.Cacher](d.Device)
	}
	return ok
}
