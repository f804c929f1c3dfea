package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Open opens the devices that a policy may use: those it names, or, where it
// names none (or "auto"), every device that is there but null ones. A named
// device that cannot be opened, or fails the self-check that the policy asks
// for, is passed over, and returned with the reason, when another one can; with
// policy.Strict it is an error.
func Open(ctx context.Context, r *hal.Registry, policy Policy) (devs []*hal.Device, unopened []Other, err error) {
	names := slices.Clone(policy.Devices)
	for _, l := range policy.Place {
		names = append(names, l...)
	}
	auto := len(policy.Devices) == 0
	names = slices.DeleteFunc(names, func(n string) bool {
		auto = auto || n == "auto"
		return n == "auto"
	})
	named := len(names)
	if auto {
		for _, rep := range r.Devices(ctx) {
			for _, d := range rep.Devices {
				if d.Kind == driver.Null {
					continue
				}
				n := rep.Name
				if d.ID != "0" {
					n += ":" + d.ID
				}
				names = append(names, n)
			}
		}
		if err := ctx.Err(); err != nil { // nothing is found by who may not look
			return nil, nil, err
		}
		if len(names) == 0 {
			return nil, nil, fmt.Errorf("scheduler: this program has no usable driver (it has: %s); import drivers/static or drivers/all: %w", strings.Join(r.Names(), ", "), hal.ErrUnavailable)
		}
	}
	defer func() {
		if err != nil {
			for _, d := range devs {
				err = errors.Join(err, d.Close())
			}
			devs = nil
		}
	}()
	var errs []error
	for i, n := range names {
		if slices.Contains(names[:i], n) || slices.Contains(policy.Deny, n) {
			continue
		}
		d, err := open(ctx, r, n, policy.SelfCheck)
		if err != nil {
			if policy.Strict && i < named {
				return devs, nil, err
			}
			errs = append(errs, err)
			unopened = append(unopened, Other{n, err.Error()})
			continue
		}
		devs = append(devs, d)
	}
	if len(devs) == 0 {
		return nil, nil, fmt.Errorf("scheduler: no device could be opened: %w", errors.Join(errs...))
	}
	return devs, unopened, nil
}

// open opens a device and has it checked if wanted.
func open(ctx context.Context, r *hal.Registry, name string, check bool) (*hal.Device, error) {
	d, err := r.Open(ctx, name)
	if err != nil || !check {
		return d, err
	}
	if _, err := hal.SelfCheck(ctx, d, hal.SelfCheckOptions{}); err != nil {
		_ = d.Close() // what is wrong with it is known
		return nil, err
	}
	return d, nil
}

// Without leaves devices that could not be opened out of the preferences.
func (p Policy) Without(gone []Other) Policy {
	if len(gone) == 0 {
		return p
	}
	is := func(n string) bool { return slices.ContainsFunc(gone, func(o Other) bool { return o.Device == n }) }
	p.Devices = slices.DeleteFunc(slices.Clone(p.Devices), is)
	place := map[string][]string{}
	for g, names := range p.Place {
		place[g] = slices.DeleteFunc(slices.Clone(names), is)
	}
	p.Place = place
	return p
}

// Open opens the devices that the plan names.
func (p *Plan) Open(ctx context.Context, r *hal.Registry) ([]*hal.Device, error) {
	policy := Policy{Strict: true, SelfCheck: p.Policy.SelfCheck}
	for _, d := range p.Devices {
		policy.Devices = append(policy.Devices, d.Name)
	}
	if len(policy.Devices) == 0 {
		return nil, fmt.Errorf("scheduler: the plan names no device: %w", ErrStale)
	}
	devs, _, err := Open(ctx, r, policy)
	return devs, err
}
