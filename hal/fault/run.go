package fault

import (
	"slices"
	"time"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
)

// runFault is how a kind disturbs a run.
type runFault struct {
	// on tells which executables it is about; nil means all.
	on func(x *executable) bool
	// keep tells which arguments are saved before the run.
	keep func(driver.Role) bool
	// before and after, if not nil, are called around the run.
	before, after func(r *run, f *armed) error
}

func inputs(r driver.Role) bool  { return r == driver.RoleInput }
func outputs(r driver.Role) bool { return r == driver.RoleOutput }
func states(r driver.Role) bool  { return r == driver.RoleState }

// has tells which executables have an argument of a role and element type.
func has(role func(driver.Role) bool, elem func(enc.Elem) bool) func(*executable) bool {
	return func(x *executable) bool {
		return slices.ContainsFunc(x.bindings, func(b driver.Binding) bool { return role(b.Role) && elem(b.Type.Elem) })
	}
}

// runs are the kinds that strike runs.
var runs map[Kind]runFault

func init() { // the functions refer to the table
	numbers := func(change func(r *run, f *armed, a *arg)) func(*run, *armed) error {
		return func(r *run, f *armed) error {
			return r.rewrite(driver.RoleOutput, func(a *arg) { change(r, f, a) })
		}
	}
	state := func(change func(before, after []byte, row int)) func(*run, *armed) error {
		return func(r *run, _ *armed) error {
			return r.rewrite(driver.RoleState, func(a *arg) {
				if row, n := a.rows(); row > 0 {
					change(r.saved[a.index][:row*n], a.bytes[:row*n], row) // scales stay
				}
			})
		}
	}
	real := has(outputs, enc.Elem.IsFloat)
	wide := has(outputs, func(e enc.Elem) bool { return e == enc.F32 || e == enc.F64 })
	codes := has(outputs, smallInt)
	stateful := has(states, enc.Elem.Valid)
	runs = map[Kind]runFault{
		Bias:          {on: real, after: numbers(bias)},
		Element:       {after: numbers(element)},
		Tail:          {keep: outputs, after: numbers(tail)},
		Sign:          {on: real, after: numbers(sign)},
		SwapRows:      {after: numbers(swapRows)},
		NaN:           {on: real, keep: inputs, after: numbers(notNumbers)},
		Half:          {on: wide, after: numbers(halve)},
		OffByTwo:      {on: codes, after: numbers(offByTwo)},
		Jitter:        {on: real, after: numbers(jitter)},
		NoOutput:      {keep: outputs, after: numbers(func(r *run, _ *armed, a *arg) { copy(a.bytes, r.saved[a.index]) })},
		Overrun:       {after: overrun},
		WriteInput:    {after: writeInput},
		StateShift:    {on: stateful, keep: states, after: state(stateShift)},
		StateDrop:     {on: stateful, keep: states, after: state(func(before, after []byte, _ int) { copy(after, before) })},
		StateTwice:    {on: stateful, keep: states, after: state(stateTwice)},
		SharedScratch: {after: sharedScratch},
		Slow:          {after: slow},
		Crash:         {before: func(*run, *armed) error { crash(); return nil }},
		Hang:          {before: hang},
	}
}

// run is one execution of an executable with faults.
type run struct {
	q     *queue
	x     *executable
	c     driver.Cmd // in the driver's own objects
	at    dim.Binding
	saved map[int][]byte // what arguments held before, by index
	took  time.Duration
}

// arg is one argument after the run.
type arg struct {
	*driver.Binding
	index int
	shape []int64
	bytes []byte
}

func (r *run) do(hits []*armed) error {
	r.saved = map[int][]byte{}
	for _, f := range hits {
		k := runs[f.Kind]
		if k.keep != nil {
			for i, b := range r.x.bindings {
				if k.keep(b.Role) && r.saved[i] == nil {
					var err error
					if r.saved[i], err = r.read(r.c.Args[i]); err != nil {
						return err
					}
				}
			}
		}
		if k.before != nil {
			if err := k.before(r, f); err != nil {
				return err
			}
		}
	}
	start := time.Now()
	if err := r.q.do([]driver.Cmd{r.c}); err != nil {
		return err
	}
	r.took = time.Since(start)
	for _, f := range hits {
		if after := runs[f.Kind].after; after != nil {
			if err := after(r, f); err != nil {
				return err
			}
		}
	}
	if r.x.wrong {
		return r.rewrite(driver.RoleOutput, func(a *arg) { clear(a.bytes) })
	}
	return nil
}

// read downloads a region: the host need not see the memory.
func (r *run) read(at driver.Region) ([]byte, error) {
	b := make([]byte, at.Size)
	return b, r.q.do([]driver.Cmd{{Op: driver.Download, Src: at, Host: b}})
}

func (r *run) write(at driver.Region, b []byte) error {
	return r.q.do([]driver.Cmd{{Op: driver.Upload, Dst: at, Host: b}})
}

// rewrite lets change have its way with every argument of a role.
func (r *run) rewrite(role driver.Role, change func(*arg)) error {
	for i := range r.x.bindings {
		b := &r.x.bindings[i]
		if b.Role != role {
			continue
		}
		shape, err := b.Type.Shape.Eval(r.at)
		if err != nil {
			return err
		}
		a := &arg{Binding: b, index: i, shape: shape}
		if a.bytes, err = r.read(r.c.Args[i]); err != nil {
			return err
		}
		change(a)
		if err := r.write(r.c.Args[i], a.bytes); err != nil {
			return err
		}
	}
	return nil
}

// rows returns the bytes and the number of the rows of an argument's data:
// runs along the last axis, or single elements where there is but one.
func (a *arg) rows() (size, n int) {
	l, err := a.Type.Enc.Layout(a.Type.Elem, a.shape)
	if err != nil || l.Data == 0 {
		return 0, 0
	}
	n = 1
	for _, d := range a.shape[:max(0, len(a.shape)-1)] {
		n *= int(d)
	}
	if n < 2 && len(a.shape) > 0 {
		n = int(a.shape[len(a.shape)-1])
	}
	if int64(n) > l.Data { // elements smaller than a byte
		n = int(l.Data)
	}
	size = int(l.Data) / n
	return size, n
}

// writeBehind is how many bytes Overrun writes too many.
const writeBehind = 16

func overrun(r *run, _ *armed) error {
	for i, b := range r.x.bindings {
		if b.Role != driver.RoleOutput {
			continue
		}
		a := r.c.Args[i]
		if room := a.Mem.Spec().Size - a.Off - a.Size; room > 0 {
			behind := driver.Region{Mem: a.Mem, Off: a.Off + a.Size, Size: min(room, writeBehind)}
			if err := r.write(behind, slices.Repeat([]byte{0x5a}, int(behind.Size))); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeInput(r *run, f *armed) error {
	return r.rewrite(driver.RoleInput, func(a *arg) {
		if len(a.bytes) > 0 {
			a.bytes[f.intn(len(a.bytes))] ^= 1
		}
	})
}

// changedRows returns the rows that a run changed.
func changedRows(before, after []byte, row int) []int {
	var out []int
	for i := 0; (i+1)*row <= min(len(before), len(after)); i++ {
		if !slices.Equal(before[i*row:(i+1)*row], after[i*row:(i+1)*row]) {
			out = append(out, i)
		}
	}
	return out
}

func stateShift(before, after []byte, row int) {
	made := slices.Clone(after)
	changed := changedRows(before, after, row)
	copy(after, before)
	for _, i := range changed {
		copy(after[min((i+1)*row, len(after)):], made[i*row:(i+1)*row])
	}
}

func stateTwice(before, after []byte, row int) {
	made := slices.Clone(after)
	changed := changedRows(before, after, row)
	for _, i := range changed {
		if !slices.Contains(changed, i+1) {
			copy(after[min((i+1)*row, len(after)):], made[i*row:(i+1)*row])
		}
	}
}

// overlap is how long a run under SharedScratch leaves its outputs in the
// scratch memory.
const overlap = 3 * time.Millisecond

// sharedScratch puts the outputs where all queues put them, and fetches them
// from there after a while.
func sharedScratch(r *run, _ *armed) error {
	d := r.q.d
	err := r.rewrite(driver.RoleOutput, func(a *arg) {
		d.mu.Lock()
		if d.scratch == nil {
			d.scratch = map[int][]byte{}
		}
		d.scratch[len(a.bytes)] = slices.Clone(a.bytes)
		d.mu.Unlock()
	})
	if err != nil {
		return err
	}
	d.sleep(overlap)
	return r.rewrite(driver.RoleOutput, func(a *arg) {
		d.mu.Lock()
		defer d.mu.Unlock()
		copy(a.bytes, d.scratch[len(a.bytes)])
	})
}

func slow(r *run, f *armed) error {
	r.q.d.sleep(time.Duration((f.amount(10) - 1) * float64(r.took)))
	return nil
}

func hang(r *run, f *armed) error {
	<-r.q.d.life.Done()
	return f.failure("the device was closed", driver.ErrClosed)
}
