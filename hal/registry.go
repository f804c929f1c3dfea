package hal

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/heddle-ml/heddle/hal/driver"
)

// Registry is a set of drivers. Safe for concurrent use.
type Registry struct {
	mu      sync.RWMutex
	drivers map[string]driver.Driver
}

// NewRegistry returns a registry with the given drivers, for tests and for
// apps that keep several sets apart.
func NewRegistry(ds ...driver.Driver) *Registry {
	r := &Registry{drivers: map[string]driver.Driver{}}
	for _, d := range ds {
		r.Register(d)
	}
	return r
}

// Default is the registry that driver packages register in.
var Default = NewRegistry()

// Register adds a driver to Default; see Registry.Register.
func Register(d driver.Driver) { Default.Register(d) }

// Open opens a device of Default; see Registry.Open.
func Open(ctx context.Context, name string) (*Device, error) { return Default.Open(ctx, name) }

// Devices probes the drivers of Default; see Registry.Devices.
func Devices(ctx context.Context) []DriverReport { return Default.Devices(ctx) }

// Register adds a driver. It panics when the name is empty, malformed or taken: a mistake
// in the program.
func (r *Registry) Register(d driver.Driver) {
	name := d.Info().Name
	if name == "" || strings.ContainsAny(name, ":?,= ") {
		panic(fmt.Sprintf("hal: %q is not a driver name", name))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.drivers[name] != nil {
		panic(fmt.Sprintf("hal: driver %q is registered twice", name))
	}
	r.drivers[name] = d
}

// Names lists the drivers, sorted.
func (r *Registry) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]string, 0, len(r.drivers))
	for n := range r.drivers {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// DriverReport says what probing a driver found.
type DriverReport struct {
	driver.Info
	Devices []driver.DeviceInfo
	// Err says why there are no devices; nil when there are.
	Err error
}

// probeLimit is generous: drivers promise 50 ms, but a busy machine may be
// slow, and a hanging driver must not hang the caller.
const probeLimit = 2 * time.Second

// Devices probes every driver, all at once, and reports in order of name.
func (r *Registry) Devices(ctx context.Context) []DriverReport {
	names := r.Names()
	out := make([]DriverReport, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { out[i] = r.probe(ctx, name) })
	}
	wg.Wait()
	return out
}

func (r *Registry) probe(ctx context.Context, name string) DriverReport {
	r.mu.RLock()
	d := r.drivers[name]
	r.mu.RUnlock()
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	report := make(chan DriverReport, 1)
	go func() {
		rep := DriverReport{Info: d.Info()}
		defer func() {
			if p := recover(); p != nil {
				rep.Devices, rep.Err = nil, &Error{Op: "probe", Driver: name, Err: fmt.Errorf("the driver panicked: %v: %w", p, ErrUnavailable)}
			}
			report <- rep
		}()
		devs, err := d.Probe(ctx)
		if err == nil && len(devs) == 0 {
			err = fmt.Errorf("no devices: %w", ErrUnavailable)
		}
		if err != nil {
			devs, err = nil, &Error{Op: "probe", Driver: name, Err: err}
		}
		rep.Devices, rep.Err = devs, err
	}()
	select {
	case rep := <-report:
		return rep
	case <-ctx.Done():
		return DriverReport{Info: driver.Info{Name: name}, Err: &Error{Op: "probe", Driver: name, Err: fmt.Errorf("no answer after %v: %w", probeLimit, ErrTimeout)}}
	}
}

// Open opens a device by name: a driver's name, optionally a colon and the
// device's ID (the first device without it), optionally options as in a URL:
// "cpu", "vulkan:1", "plugin:/opt/npu.so", "cpu?threads=2". An error lists
// what there is.
func (r *Registry) Open(ctx context.Context, name string) (*Device, error) {
	base, query, _ := strings.Cut(name, "?")
	drv, id, hasID := strings.Cut(base, ":")
	r.mu.RLock()
	d := r.drivers[drv]
	r.mu.RUnlock()
	if d == nil {
		return nil, &Error{Op: "open", Driver: drv, Err: fmt.Errorf("there is no such driver in this program; it has %s: %w", strings.Join(r.Names(), ", "), ErrUnavailable)}
	}
	o, err := parseOptions(query)
	if err != nil {
		return nil, &Error{Op: "open", Driver: drv, Err: err}
	}
	if !hasID {
		rep := r.probe(ctx, drv)
		if rep.Err != nil {
			return nil, rep.Err
		}
		id = rep.Devices[0].ID
	}
	dev, err := guard(func() (driver.Device, error) { return d.Open(ctx, id, o) })
	if err != nil {
		return nil, &Error{Op: "open", Driver: drv, Device: drv + ":" + id, Err: err}
	}
	full := drv
	if hasID || id != "0" {
		full += ":" + id
	}
	return newDevice(full, drv, dev), nil
}

func parseOptions(query string) (driver.OpenOptions, error) {
	var o driver.OpenOptions
	vals, err := url.ParseQuery(query)
	if err != nil {
		return o, invalid("options %q: %v", query, err)
	}
	keys := make([]string, 0, len(vals))
	for k := range vals {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v := vals.Get(k)
		if k == "threads" {
			if _, err := fmt.Sscanf(v, "%d", &o.Threads); err != nil || o.Threads < 1 || o.Threads > 1024 {
				return o, invalid("option threads=%q: want a number from 1 to 1024", v)
			}
			continue
		}
		if o.Options == nil {
			o.Options = map[string]string{}
		}
		o.Options[k] = v
	}
	return o, nil
}

// guard turns a driver's panic into an error: no driver may end the program.
func guard[T any](f func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the driver panicked: %v: %w", p, ErrDeviceLost)
		}
	}()
	return f()
}

// IsUnavailable reports whether err says that a driver or device is not here.
func IsUnavailable(err error) bool { return errors.Is(err, ErrUnavailable) }
