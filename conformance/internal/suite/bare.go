package suite

import (
	"context"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Bare opens another device of the driver with nothing around it. Validation
// runs one batch after the other: cases about order, overlap and ends need a
// device that is as apps hold it. The driver's own device is for its optional
// interfaces.
func (e *Env) Bare(ctx context.Context, options ...string) (*hal.Device, driver.Device, error) {
	c := &catch{Driver: e.Driver}
	bare := Env{Registry: hal.NewRegistry(c), Name: e.Name}
	d, err := bare.Open(ctx, options...)
	return d, c.opened, err
}

// catch keeps what a driver opens.
type catch struct {
	driver.Driver
	opened driver.Device
}

func (c *catch) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	d, err := c.Driver.Open(ctx, id, o)
	c.opened = d
	return d, err
}
