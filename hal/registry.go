package hal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate"
	"github.com/heddle-ml/heddle/hal/validate"
)

// Registry is a set of drivers. Safe for concurrent use.
type Registry struct {
	*registry
	isolated bool // where neither a device's name nor its driver says otherwise
}

// registry is what a Registry shares with its Isolated one.
type registry struct {
	mu      sync.RWMutex
	drivers map[string]entry

	quarantine quarantine
}

type entry struct {
	driver.Driver
	info driver.Info
}

// NewRegistry returns a registry with the given drivers, for tests and for
// apps that keep several sets apart.
func NewRegistry(ds ...driver.Driver) *Registry {
	r := &Registry{registry: &registry{drivers: map[string]entry{}}}
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
	info := d.Info()
	name := info.Name
	if name == "" || strings.ContainsAny(name, ":?,= ") {
		panic(fmt.Sprintf("hal: %q is not a driver name", name))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.drivers[name]; taken {
		panic(fmt.Sprintf("hal: driver %q is registered twice", name))
	}
	r.drivers[name] = entry{d, info}
}

func (r *Registry) find(name string) (entry, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	e, ok := r.drivers[name]
	return e, ok
}

// Driver returns the driver of a name, as it was registered: for programs that
// judge drivers, which apps do not.
func (r *Registry) Driver(name string) (driver.Driver, bool) {
	e, ok := r.find(name)
	return e.Driver, ok
}

// Isolated returns a registry of the same drivers that opens devices in child
// processes, unless their names say isolate=0.
func (r *Registry) Isolated() *Registry { return &Registry{registry: r.registry, isolated: true} }

// Names lists the drivers, sorted.
func (r *Registry) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.drivers))
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
	e, _ := r.find(name)
	if e.info.ForeignProbe {
		return probe(ctx, name, e.info, isolate.Driver(name, e.Driver, isolate.Options{}))
	}
	return probe(ctx, name, e.info, e.Driver)
}

// probe asks a driver for its devices and waits no longer than probeLimit.
func probe(ctx context.Context, name string, info driver.Info, d driver.Driver) DriverReport {
	fail := func(err error) DriverReport {
		return DriverReport{Info: info, Err: &Error{Op: "probe", Driver: name, Err: err}}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, probeLimit, fmt.Errorf("no answer after %v: %w", probeLimit, ErrTimeout))
	defer cancel()
	report := make(chan DriverReport, 1)
	go func() {
		devs, err := guard(func() ([]driver.DeviceInfo, error) { return d.Probe(ctx) })
		switch {
		case errors.Is(err, ErrDeviceLost): // it panicked: no device was open that could be lost
			report <- fail(fmt.Errorf("%w: %w", err, ErrUnavailable))
		case err != nil:
			report <- fail(err)
		case len(devs) == 0:
			report <- fail(fmt.Errorf("no devices: %w", ErrUnavailable))
		default:
			report <- DriverReport{Info: info, Devices: devs}
		}
	}()
	select {
	case rep := <-report:
		return rep
	case <-ctx.Done():
		return fail(context.Cause(ctx))
	}
}

// Open opens a device by name: a driver's name, optionally a colon and the
// device's ID (the first device without it), optionally options as in a URL:
// "cpu", "vulkan:1", "plugin:/opt/npu.so", "cpu?threads=2". An error lists
// what there is.
//
// With the option validate=1, for any driver, package hal/validate stands
// between: the driver and its callers are checked against the contract, and
// Close returns what was found.
//
// A device that failed its SelfCheck, in this process or an earlier one, is
// not opened: the error wraps ErrQuarantined, with the reason. With
// quarantine=0 it is.
//
// With the option isolate=1 the device lives in a child process; see package
// hal/isolate, which has further options. That is the default for Foreign
// drivers; isolate=0 opens those in this process. With isolate=1 the driver
// need not be part of this program: the host program has it.
func (r *Registry) Open(ctx context.Context, name string) (*Device, error) {
	base, query, _ := strings.Cut(name, "?")
	drv, id, hasID := strings.Cut(base, ":")
	o, err := parseOptions(query)
	if err != nil {
		return nil, &Error{Op: "open", Driver: drv, Err: err}
	}
	d, ok := r.find(drv)
	apart := r.isolated || d.info.Foreign
	if o.isolate != nil {
		apart = *o.isolate
	}
	if !ok && (drv == "" || o.isolate == nil || !apart) {
		has := "none"
		if names := r.Names(); len(names) > 0 {
			has = strings.Join(names, ", ")
		}
		return nil, &Error{Op: "open", Driver: drv, Err: fmt.Errorf("there is no such driver in this program; it has %s: %w", has, ErrUnavailable)}
	}
	opener, prober := d.Driver, d.Driver
	if apart {
		io, rest, err := isolate.Take(o.Options)
		if err != nil {
			return nil, &Error{Op: "open", Driver: drv, Err: fmt.Errorf("%w: %w", err, ErrInvalidArgument)}
		}
		o.Options = rest
		opener = isolate.Driver(drv, d.Driver, io)
		if !ok || d.info.ForeignProbe {
			prober = opener
		}
	}
	if !hasID {
		rep := probe(ctx, drv, d.info, prober)
		if rep.Err != nil {
			return nil, rep.Err
		}
		id = rep.Devices[0].ID
	}
	full := drv
	if hasID || id != "0" {
		full += ":" + id
	}
	dev, err := guard(func() (*Device, error) {
		if o.validate {
			opener = validate.Driver(opener, validate.Options{})
		}
		dev, err := opener.Open(ctx, id, o.OpenOptions)
		if err == nil && dev == nil {
			err = errNothing
		}
		if err != nil {
			return nil, err
		}
		return newDevice(full, drv, dev), nil
	})
	if err != nil {
		return nil, &Error{Op: "open", Driver: drv, Device: drv + ":" + id, Err: err}
	}
	dev.registry = r
	if o.quarantine {
		if err := r.quarantined(dev); err != nil {
			return nil, errors.Join(&Error{Op: "open", Driver: drv, Device: drv + ":" + id, Err: err}, dev.Close())
		}
	}
	return dev, nil
}

// openOptions are the options of a device's name: the driver's, and those of
// this package, which no driver sees.
type openOptions struct {
	driver.OpenOptions
	validate, quarantine bool
	isolate              *bool // nil: not said
}

func parseOptions(query string) (openOptions, error) {
	o := openOptions{quarantine: true}
	vals, err := url.ParseQuery(query)
	if err != nil {
		return o, invalid("options %q: %v", query, err)
	}
	for _, k := range slices.Sorted(maps.Keys(vals)) {
		v := vals.Get(k)
		if len(vals[k]) > 1 {
			return o, invalid("option %s is given %d times", k, len(vals[k]))
		}
		switch k {
		case "threads":
			if o.Threads, err = strconv.Atoi(v); err != nil || o.Threads < 1 || o.Threads > 1024 {
				return o, invalid("option threads=%q: want a number from 1 to 1024", v)
			}
		case "validate":
			if o.validate, err = strconv.ParseBool(v); err != nil {
				return o, invalid("option validate=%q: want 1 or 0", v)
			}
		case "isolate":
			b, err := strconv.ParseBool(v)
			if o.isolate = &b; err != nil {
				return o, invalid("option isolate=%q: want 1 or 0", v)
			}
		case "quarantine":
			if o.quarantine, err = strconv.ParseBool(v); err != nil {
				return o, invalid("option quarantine=%q: want 1 or 0", v)
			}
		default:
			if o.Options == nil {
				o.Options = map[string]string{}
			}
			o.Options[k] = v
		}
	}
	return o, nil
}

// IsUnavailable reports whether err says that a driver or device is not here.
func IsUnavailable(err error) bool { return errors.Is(err, ErrUnavailable) }
