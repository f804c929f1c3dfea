package selfcheck

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// Status tells what became of a block.
type Status string

// What became of a block.
const (
	Pass Status = "pass"
	Fail Status = "fail"
	// Left out: the device does not take it.
	Left Status = "unsupported"
)

// Result is what became of one block.
type Result struct {
	Block  string `json:"block"`
	Status Status `json:"status"`
	// Elem is the type that it was computed in.
	Elem string `json:"elem,omitempty"`
	// Detail says what is wrong, or why the block was left out.
	Detail  string  `json:"detail,omitempty"`
	Measure Measure `json:"measure"`
	// Lost tells that the device was lost, as far as it said so.
	Lost bool `json:"lost,omitempty"`
}

// Run checks a device, block by block, up to the first that fails: one is
// enough, and what state the device is in then nobody knows. The error is
// ctx's, or says that a block itself is malformed; what the device does wrong
// is in the results.
func Run(ctx context.Context, d driver.Device) ([]Result, error) {
	var out []Result
	for _, m := range makers {
		r, err := check(ctx, d, m)
		if err != nil {
			return out, err
		}
		out = append(out, r)
		if r.Status == Fail {
			break
		}
	}
	return out, nil
}

// check runs a block in f32, or in f16 on a device that has only that.
func check(ctx context.Context, d driver.Device, m maker) (Result, error) {
	r := Result{Block: m.name, Status: Left}
	for _, elem := range []enc.Elem{enc.F32, enc.F16} {
		b, err := m.make(m.name, elem)
		if err != nil {
			return r, fmt.Errorf("selfcheck: %s: %w", m.name, err)
		}
		if why := refusal(d, b); why != "" {
			if r.Detail == "" {
				r.Detail = why // of the type that was tried first
			}
			continue
		}
		r.Elem, r.Detail = elem.String(), ""
		r.Measure, err = b.run(ctx, d)
		var wrong *wrongError
		switch {
		case ctx.Err() != nil:
			return r, ctx.Err()
		case errors.As(err, &wrong):
			r.Status, r.Detail, r.Lost = Fail, wrong.text, errors.Is(wrong.cause, driver.ErrDeviceLost)
		case err != nil:
			r.Detail = err.Error()
		default:
			r.Status = Pass
		}
		return r, nil
	}
	return r, nil
}

// refusal says why a device does not take a block, "" if it does. Composite
// operators are not taken apart: what the device would be given is checked.
func refusal(d driver.Device, b *block) string {
	for _, g := range b.graphs {
		vs := d.Supports(g)
		if len(vs) != len(g.Nodes) {
			return fmt.Sprintf("it answers for %d of %d nodes", len(vs), len(g.Nodes))
		}
		for i, v := range vs {
			if !v.OK {
				return fmt.Sprintf("%s: %s", g.Nodes[i].Op, v.Text)
			}
		}
	}
	return ""
}

// wrongError is a fault of the device. Other errors are refusals.
type wrongError struct {
	text  string
	cause error
}

func (e *wrongError) Error() string { return e.text }

// wrong makes a wrongError; %w names its cause.
func wrong(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &wrongError{err.Error(), errors.Unwrap(err)}
}

// refused makes an error of compilation or allocation: to refuse is no fault,
// but to be lost is.
func refused(what string, err error) error {
	if errors.Is(err, driver.ErrDeviceLost) {
		return wrong("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// bed is a block on a device: compiled, with memory.
type bed struct {
	d     driver.Device
	exes  []driver.Executable
	mem   driver.Memory
	place map[string]driver.Region // of each argument, by role and name
	queue driver.Queue
	done  driver.Timeline
	value uint64
}

func (b *block) run(ctx context.Context, d driver.Device) (m Measure, err error) {
	t, err := lay(ctx, d, b)
	defer func() {
		if e := t.close(); err == nil && e != nil {
			err = wrong("it does not close: %w", e)
		}
	}()
	if err != nil {
		return m, err
	}
	states := map[string]*oracle.Tensor{}
	for i, s := range b.steps {
		g := b.graphs[s.graph]
		want, err := oracle.Eval(ctx, g, oracle.Options{Inputs: s.inputs, States: states})
		if err != nil {
			return m, fmt.Errorf("the reference: %w", err)
		}
		states = want.States
		got, err := t.step(ctx, s.graph, s.inputs)
		if err != nil {
			return m, wrong("run %d: %w", i+1, err)
		}
		for _, o := range g.Outputs {
			w := want.Outputs[o.Name]
			x, err := oracle.FromBytes(w.Elem, w.Shape, got[o.Name])
			if err != nil {
				return m, wrong("run %d: output %s: %v", i+1, o.Name, err)
			}
			n, text := b.limits.judge(x.F, w.F)
			m.max(n)
			if text != "" {
				return m, wrong("run %d: output %s: %s", i+1, o.Name, text)
			}
		}
	}
	return m, nil
}

// lay compiles a block and allocates its arguments. What was made is in the
// bed even after an error.
func lay(ctx context.Context, d driver.Device, b *block) (*bed, error) {
	t := &bed{d: d, place: map[string]driver.Region{}}
	align := int64(driver.PlaneAlign)
	if hs := d.Caps().Heaps; len(hs) > 0 {
		align = max(align, hs[0].Align)
	}
	for _, g := range b.graphs {
		x, err := d.Compile(ctx, g, driver.CompileOptions{Label: "self-check: " + b.name, Data: inline{}})
		if err != nil {
			return t, refused("compile", err)
		}
		if x == nil {
			return t, wrong("compile: the driver returned nothing, and no error")
		}
		t.exes = append(t.exes, x)
		for _, a := range x.Bindings() {
			n, err := a.Size(nil)
			if err != nil {
				return t, wrong("%s %q: %v", a.Role, a.Name, err)
			}
			key := a.Role.String() + " " + a.Name
			t.place[key] = driver.Region{Size: max(n, t.place[key].Size)}
			align = max(align, a.Align)
		}
	}
	size := int64(0)
	for key, r := range t.place {
		r.Off = size
		t.place[key] = r
		size += (r.Size + align - 1) / align * align
	}
	var err error
	if t.mem, err = d.Alloc(ctx, driver.MemSpec{Size: size}); err != nil {
		return t, refused("alloc", err)
	}
	if t.queue, err = d.NewQueue(driver.QueueOptions{Label: "self-check"}); err != nil {
		return t, refused("queue", err)
	}
	if t.done, err = t.queue.NewTimeline(0); err != nil {
		return t, refused("timeline", err)
	}
	return t, nil
}

// step runs an executable and returns its outputs.
func (t *bed) step(ctx context.Context, exe int, inputs map[string]*oracle.Tensor) (map[string][]byte, error) {
	x := t.exes[exe]
	run := driver.Cmd{Op: driver.Run, Exec: x}
	var before, after []driver.Cmd
	out := map[string][]byte{}
	for _, a := range x.Bindings() {
		r := t.place[a.Role.String()+" "+a.Name]
		var err error
		if r.Size, err = a.Size(nil); err != nil {
			return nil, err
		}
		r.Mem = t.mem
		run.Args = append(run.Args, r)
		switch a.Role {
		case driver.RoleInput:
			if inputs[a.Name] == nil {
				return nil, fmt.Errorf("the executable has an input %q, the graph has not", a.Name)
			}
			data, err := inputs[a.Name].Bytes()
			if err != nil {
				return nil, err
			}
			if int64(len(data)) != r.Size {
				return nil, fmt.Errorf("the executable takes %d bytes for input %q, the graph %d", r.Size, a.Name, len(data))
			}
			before = append(before, driver.Cmd{Op: driver.Upload, Dst: r, Host: data})
		case driver.RoleOutput:
			// What is not written shows: these bytes are NaN in every type.
			before = append(before, driver.Cmd{Op: driver.Fill, Dst: r, Value: 0xff})
			out[a.Name] = make([]byte, r.Size)
			after = append(after, driver.Cmd{Op: driver.Download, Src: r, Host: out[a.Name]})
		}
	}
	t.value++
	err := t.queue.Submit(ctx, &driver.Batch{Cmds: slices.Concat(before, []driver.Cmd{run}, after), Signal: []driver.Point{{T: t.done, V: t.value}}})
	if err != nil {
		return nil, err
	}
	return out, t.done.Wait(ctx, t.value)
}

func (t *bed) close() error {
	var errs []error
	if t.queue != nil {
		errs = append(errs, t.queue.Close())
	}
	for _, x := range t.exes {
		errs = append(errs, x.Close())
	}
	if t.mem != nil {
		errs = append(errs, t.mem.Free())
	}
	return errors.Join(errs...)
}

// inline is the data of graphs that carry their weights.
type inline struct{}

func (inline) Source(name string) ([]byte, error) {
	return nil, fmt.Errorf("selfcheck: source %q: the graph has none: %w", name, graph.ErrNoData)
}
