package try

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/validate"
)

// Bench holds a device that cases run on. Safe for concurrent use.
type Bench struct {
	drv  driver.Driver
	reg  *hal.Registry
	dev  *hal.Device
	name string

	mu    sync.Mutex
	found []error
}

// Open opens a driver's first device, with options such as "threads=1".
func Open(ctx context.Context, d driver.Driver, options string) (*Bench, error) {
	b := &Bench{drv: d, name: d.Info().Name + ":0?" + options}
	b.reg = hal.NewRegistry(validate.Driver(d, validate.Options{Report: func(v *validate.Violation) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.found = append(b.found, v)
	}}))
	var err error
	b.dev, err = b.reg.Open(ctx, b.name)
	return b, err
}

// Run runs a case and returns what it finds, with what validation found.
func (b *Bench) Run(ctx context.Context, c suite.Case) (*suite.Env, error) {
	e := &suite.Env{ID: c.ID, Driver: b.drv, Registry: b.reg, Name: b.name, Device: b.dev, Caps: b.dev.Caps()}
	err := run(ctx, c, e)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil || suite.IsUnsupported(err) {
		err = errors.Join(append(b.found, err)...)
	}
	b.found = nil
	return e, err
}

func run(ctx context.Context, c suite.Case, e *suite.Env) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s panicked: %v", c.ID, p)
		}
	}()
	return c.Run(ctx, e)
}

// Close closes the device.
func (b *Bench) Close() error { return b.dev.Close() }
