package hal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/internal/selfcheck"
)

// SelfCheckOptions configure SelfCheck. The zero value is the default.
type SelfCheckOptions struct {
	// Dir is where results are kept from process to process: empty means
	// heddle/selfcheck in the user's cache directory, "-" nowhere. Opening a
	// device looks into the default directory only.
	Dir string
	// Fresh checks although there is a result. It is how a device leaves
	// quarantine: open it with the option quarantine=0, and let it pass.
	Fresh bool
	// Timeout is how long the check may take, compilation included; 0 means
	// a minute.
	Timeout time.Duration
}

const selfCheckTimeout = time.Minute

// SelfCheckReport is the result of a self-check.
type SelfCheckReport struct {
	Driver      string `json:"driver"`
	Fingerprint string `json:"fingerprint"`
	// Revision is that of the blocks: with others, the device is checked anew.
	Revision int              `json:"revision"`
	Time     time.Time        `json:"time"`
	Seconds  float64          `json:"seconds"`
	Blocks   []SelfCheckBlock `json:"blocks"`
	// Reason says why the device is in quarantine; empty when it passed.
	Reason string `json:"reason,omitempty"`
	// Cached tells that the result is from earlier.
	Cached bool `json:"-"`
}

// SelfCheckBlock is the result of one block.
type SelfCheckBlock struct {
	Name string `json:"name"`
	// Status is "pass", "fail", or "unsupported" where the device does not
	// take the block as a whole, with the reason in Detail.
	Status string `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Elem is the element type that it was computed in.
	Elem string `json:"elem,omitempty"`
	// NMSE is the mean square error over the mean square of the reference,
	// Gain how far all numbers are off in one direction, as a share, Worst the
	// largest error over the reference's root mean square.
	NMSE  float64 `json:"nmse"`
	Gain  float64 `json:"gain"`
	Worst float64 `json:"worst"`
}

// Checked counts the blocks that were compared. Where it is 0 the device has
// not failed, and nothing is known of it.
func (r *SelfCheckReport) Checked() int {
	n := 0
	for _, b := range r.Blocks {
		if b.Status == string(selfcheck.Pass) || b.Status == string(selfcheck.Fail) {
			n++
		}
	}
	return n
}

// SelfCheck runs small blocks of models on a device and compares them with
// the reference: some hundred milliseconds, once for each fingerprint of a
// device; after that the result is found in a file. Limits are wide enough
// for a device that computes in f16: it is a test of whether the device
// works. Blocks that it does not take as a whole are left out and reported.
//
// A device that computes something wrong, panics, is lost, or does not answer
// in time fails: the error wraps ErrQuarantined, with the reason, and the report comes
// with it. The registry does not open devices of this driver and fingerprint
// any more, in later processes neither, until the fingerprint changes (another
// firmware, another version of the driver) or the device passes a Fresh check.
// A device that did not answer in time is remembered by this process only:
// the machine may have been busy. dev itself stays as it is; close it.
//
// Nothing else may run on the device meanwhile, if the time is to be what it
// says. A device that hangs may still be in use when SelfCheck returns.
func SelfCheck(ctx context.Context, dev *Device, o SelfCheckOptions) (*SelfCheckReport, error) {
	const op = "self-check"
	if err := dev.ready(op); err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = selfCheckTimeout
	}
	rep := &SelfCheckReport{Driver: dev.drv, Fingerprint: dev.caps.Fingerprint, Revision: selfcheck.Revision}
	if dev.caps.Kind == driver.Null {
		return rep, nil // it computes nothing, and says so
	}
	store := openStore(o.Dir)
	if !o.Fresh {
		old := dev.registry.held(culprit{rep.Driver, rep.Fingerprint})
		if old == nil {
			old = store.read(rep.Driver, rep.Fingerprint)
		}
		if old != nil {
			dev.registry.sentence(old)
			return old, dev.quarantine(old)
		}
	}
	rep.Time = time.Now().UTC().Truncate(time.Second)
	results, err := dev.selfCheck(ctx, o.Timeout)
	rep.Seconds = time.Since(rep.Time).Seconds()
	late := errors.Is(err, errLate)
	switch {
	case late || errors.Is(err, ErrDeviceLost): // or it panicked
		rep.Reason = err.Error()
	case err != nil:
		return nil, dev.err(op, err)
	}
	for _, r := range results {
		rep.Blocks = append(rep.Blocks, SelfCheckBlock{r.Block, string(r.Status), r.Detail, r.Elem, r.Measure.NMSE, r.Measure.Gain, r.Measure.Worst})
		if r.Status == selfcheck.Fail {
			rep.Reason = r.Block + ": " + r.Detail
		}
		if r.Lost {
			_ = dev.err(op, fmt.Errorf("%s: %s: %w", r.Block, r.Detail, ErrDeviceLost)) // note it
		}
	}
	if rep.Checked() > 0 || rep.Reason != "" {
		dev.registry.sentence(rep)
		if !late {
			store.write(rep)
		}
	}
	return rep, dev.quarantine(rep)
}

// quarantine returns the error of a device that failed.
func (d *Device) quarantine(r *SelfCheckReport) error {
	if r.Reason == "" {
		return nil
	}
	return d.err("self-check", quarantineError(r))
}

var errLate = errors.New("no answer")

// selfCheck runs the check and does not wait for a device that hangs.
func (d *Device) selfCheck(ctx context.Context, limit time.Duration) ([]selfcheck.Result, error) {
	inner, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w within %v", errLate, limit))
	defer cancel()
	type answer struct {
		results []selfcheck.Result
		err     error
	}
	done := make(chan answer, 1)
	go func() {
		r, err := guard(func() ([]selfcheck.Result, error) { return selfcheck.Run(inner, d.d) })
		done <- answer{r, err}
	}()
	select {
	case a := <-done:
		if a.err != nil && inner.Err() != nil {
			a.err = context.Cause(inner)
		}
		return a.results, a.err
	case <-inner.Done():
	}
	// What takes contexts returns soon; what does not is left behind.
	select {
	case a := <-done:
		if a.err == nil {
			return a.results, nil
		}
	case <-time.After(time.Second):
	}
	return nil, context.Cause(inner)
}
