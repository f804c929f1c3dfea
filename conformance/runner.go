package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate"
	"github.com/heddle-ml/heddle/hal/validate"
)

// runner is one run of the suite.
type runner struct {
	o     Options
	given driver.Driver
	name  string // of the device
	// isolated tells that given is the driver in a process of its own.
	isolated bool
	info     driver.DeviceInfo
	caps     *hal.Caps
	claimed  suite.Profile
	cases    []suite.Case
	scope    []string // profiles that were asked for
	started  time.Time

	mu      sync.Mutex
	results []Result
	failed  bool
	late    []string // problems
	workers []*worker
}

const (
	caseTimeout = time.Minute
	// grace is how long a case may take to end once its time is over.
	grace = 10 * time.Second
)

func newRunner(ctx context.Context, d driver.Driver, o Options) (*runner, error) {
	if d == nil {
		return nil, errors.New("conformance: no driver was given")
	}
	for _, e := range o.Expect {
		if e.Reference == "" || e.Status != XFail && e.Status != Waived {
			return nil, fmt.Errorf("conformance: the expectation for %q needs a reference and one of the statuses %s and %s", e.Case, XFail, Waived)
		}
	}
	r := &runner{o: o, given: d, started: time.Now(), isolated: o.Isolate || d.Info().Foreign && !o.InProcess}
	device := o.DeviceOptions
	if r.isolated {
		io, rest, err := isolate.Take(device)
		if err != nil {
			return nil, fmt.Errorf("conformance: %w", err)
		}
		io.NoBackoff = true // some cases crash the device on purpose, again and again
		d, device = isolate.Driver(d.Info().Name, d, io), rest
		r.given = d
	}
	id := o.Device
	if id == "" {
		devs, err := d.Probe(ctx)
		if err != nil {
			return nil, fmt.Errorf("conformance: there is no device to test: %w", err)
		}
		if len(devs) == 0 {
			return nil, fmt.Errorf("conformance: the driver %s finds no device", d.Info().Name)
		}
		id, r.info = devs[0].ID, devs[0]
	}
	r.info.ID = id
	options := url.Values{}
	for k, v := range device {
		options.Set(k, v)
	}
	options.Set("isolate", "0") // what is to be isolated is so already
	r.name = d.Info().Name + ":" + id + "?" + options.Encode()

	w := r.worker()
	dev, err := w.device(ctx)
	if err != nil {
		return nil, fmt.Errorf("conformance: %w", err)
	}
	r.caps = dev.Caps()
	if r.info.Model == "" {
		r.info.Model, r.info.Kind = r.caps.Model, r.caps.Kind
	}
	for _, name := range r.caps.Profiles {
		p, err := suite.ParseProfile(name)
		if err != nil {
			w.close()
			return nil, fmt.Errorf("the device's capabilities: %w", err)
		}
		r.claimed |= p
	}
	r.claimed = r.claimed.Expand()
	all, err := cases(o.ONNXTests)
	if err == nil {
		r.cases, r.scope, err = selected(all, o, r.claimed)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return r, nil
}

// sample draws n cases, in their order.
func sample(cs []suite.Case, n int, seed uint64) []suite.Case {
	pick := rand.New(rand.NewPCG(seed, 0x5eed)).Perm(len(cs))[:n]
	slices.Sort(pick)
	out := make([]suite.Case, n)
	for i, k := range pick {
		out[i] = cs[k]
	}
	return out
}

// worker runs cases one after the other on a device of its own.
type worker struct {
	r        *runner
	registry *hal.Registry

	mu         sync.Mutex
	dev        *hal.Device
	violations []*validate.Violation
}

// worker returns the first worker that is free to be used by the caller.
func (r *runner) worker() *worker {
	if len(r.workers) > 0 {
		return r.workers[0]
	}
	return r.another()
}

func (r *runner) another() *worker {
	w := &worker{r: r}
	w.registry = hal.NewRegistry(validate.Driver(r.given, validate.Options{Report: func(v *validate.Violation) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.violations = append(w.violations, v)
	}}))
	r.workers = append(r.workers, w)
	return w
}

// device returns the worker's device, opening it if there is none that works.
func (w *worker) device(ctx context.Context) (*hal.Device, error) {
	if w.dev != nil && w.dev.Lost() == nil {
		return w.dev, nil
	}
	if w.dev != nil {
		w.dev.Close()
		w.dev = nil
	}
	d, err := w.registry.Open(ctx, w.r.name)
	if err != nil {
		return nil, err
	}
	w.dev = d
	return d, nil
}

// take returns the violations since the last call.
func (w *worker) take() []*validate.Violation {
	w.mu.Lock()
	defer w.mu.Unlock()
	vs := w.violations
	w.violations = nil
	return vs
}

func (w *worker) close() error {
	if w.dev == nil {
		return nil
	}
	err := w.dev.Close()
	if lost := w.dev.Lost(); lost != nil {
		err = nil // its end was reported
	}
	w.dev = nil
	if vs := w.take(); err == nil && len(vs) > 0 {
		err = vs[0]
	}
	return err
}

func (r *runner) close() {
	for _, w := range r.workers {
		w.close()
	}
}

// run runs all cases: those that need quiet one by one, the others side by
// side.
func (r *runner) run(ctx context.Context) {
	defer func() {
		for _, w := range r.workers {
			if err := w.close(); err != nil {
				r.late = append(r.late, fmt.Sprintf("closing the device at the end of the run: %v", err))
			}
		}
	}()
	var alone, rest []*suite.Case
	for i := range r.cases {
		if c := &r.cases[i]; c.Alone {
			alone = append(alone, c)
		} else {
			rest = append(rest, c)
		}
	}
	stop := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return ctx.Err() != nil || r.o.FailFast && r.failed
	}
	first := r.worker()
	for _, c := range alone {
		if stop() {
			return
		}
		r.judge(ctx, first, c)
	}
	jobs := r.o.Jobs
	if jobs <= 0 {
		jobs = min(runtime.GOMAXPROCS(0), 4)
	}
	queue := make(chan *suite.Case, len(rest))
	for _, c := range rest {
		queue <- c
	}
	close(queue)
	var wg sync.WaitGroup
	for i := range min(jobs, len(rest)) {
		w := first
		if i > 0 {
			w = r.another()
			if _, err := w.device(ctx); err != nil {
				break // one device of its kind at a time
			}
		}
		wg.Go(func() {
			for c := range queue {
				if stop() {
					return
				}
				r.judge(ctx, w, c)
			}
		})
	}
	wg.Wait()
}

// judge runs a case and records its result, unless ctx ended meanwhile: what
// an interrupt broke off says nothing about the device.
func (r *runner) judge(ctx context.Context, w *worker, c *suite.Case) {
	if res := w.run(ctx, c); ctx.Err() == nil || res.Status == Pass {
		r.finish(res)
	}
}

// run runs one case. A case that does not end in time is left behind, with its
// device.
func (w *worker) run(ctx context.Context, c *suite.Case) Result {
	res := Result{ID: c.ID, Profiles: c.Profiles.Names(), Status: Pass}
	start := time.Now()
	dev, err := w.device(ctx)
	if err != nil {
		res.Status, res.Reason = Crash, fmt.Sprintf("the device cannot be opened: %v", err)
		return res
	}
	w.take()
	e := &suite.Env{ID: c.ID, Seed: w.r.o.Seed, Driver: w.r.given, Registry: w.registry, Name: w.r.name, Device: dev, Caps: w.r.caps, ONNX: w.r.o.ONNXTests}
	limit := c.Timeout
	if limit == 0 {
		limit = caseTimeout
	}
	if w.r.o.Timeout > 0 {
		limit = max(w.r.o.Timeout, c.Timeout)
	}
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("the case panicked: %v\n%s", p, debug.Stack())
			}
		}()
		done <- c.Run(inner, e)
	}()
	timeout := false
	select {
	case err = <-done:
		timeout = err != nil && inner.Err() != nil && ctx.Err() == nil
	case <-inner.Done():
		timeout = ctx.Err() == nil
		select {
		case err = <-done:
		case <-time.After(min(grace, limit)):
			err = fmt.Errorf("it did not end even %v after it was cancelled", min(grace, limit))
			w.mu.Lock()
			w.dev = nil // whatever it is doing, it is not disturbed by the next case
			w.mu.Unlock()
		}
	}
	res.Millis = float64(time.Since(start).Microseconds()) / 1000
	res.Error, res.Notes, res.Form = e.Stats(), e.Notes(), e.Form()
	for _, v := range w.take() {
		if err != nil && !suite.IsUnsupported(err) {
			break // the case noticed by itself
		}
		err = fmt.Errorf("validation: %w", v)
		if v.Rule.Caller() {
			err = fmt.Errorf("the suite's own mistake: %w", err)
		}
	}
	switch {
	case err == nil:
	case suite.IsUnsupported(err):
		res.Status, res.Reason = Unsupported, err.Error()
		if p := c.Profiles & w.r.claimed; p != 0 {
			res.Status, res.Reason = Fail, fmt.Sprintf("the device claims the profile %s, which asks for this: %v", p, err)
		}
	case timeout:
		res.Status, res.Reason = Timeout, fmt.Sprintf("no end after %v: %v", limit, err)
	case errors.Is(err, hal.ErrDeviceLost):
		res.Status, res.Reason = Crash, err.Error()
	default:
		res.Status, res.Reason = Fail, err.Error()
	}
	res.Reason = strings.TrimSpace(res.Reason)
	return res
}

// finish applies what is expected of a case and records its result.
func (r *runner) finish(res Result) Result {
	for i := range r.o.Expect {
		e := &r.o.Expect[i]
		if !e.matches(res.ID) {
			continue
		}
		switch {
		case e.Status == XFail && res.Status == Pass:
			res.Status, res.Reason = Fail, "it passes though it is expected to fail ("+e.Reference+"): take it off the list"
		case res.Status.bad():
			res.Status, res.Reference = e.Status, e.Reference
		}
		break
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, res)
	r.failed = r.failed || res.Status.bad()
	if r.o.Progress != nil {
		r.o.Progress(res, len(r.cases))
	}
	return res
}

// report sums up.
func (r *runner) report() Report {
	rep := Report{
		Schema: schema, Driver: r.given.Info(), Device: r.info, Caps: *r.caps, Scope: r.scope, Seed: r.o.Seed,
		Options: maps.Clone(r.o.DeviceOptions), ONNX: r.o.ONNXTests != "", Isolated: r.isolated,
		Partial: r.o.Match != nil || r.o.Sample > 0 || len(r.results) < len(r.cases),
		Started: r.started.UTC().Truncate(time.Second), Seconds: time.Since(r.started).Seconds(),
		Environment: environment(), Results: r.results, Problems: r.late,
	}
	order := map[string]int{}
	for i, c := range r.cases {
		order[c.ID] = i
	}
	slices.SortFunc(rep.Results, func(a, b Result) int { return order[a.ID] - order[b.ID] })
	rep.sum()
	return rep
}
