package scheduler

import (
	"context"
	"errors"
	"fmt"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Frame is one run of a stage in the making or under way: buffers for inputs
// and outputs, and a prepared batch. Several frames of a stage make a
// pipeline: one is filled while another runs. A frame is used again and again
// without allocating. One goroutine.
type Frame struct {
	stage    *Stage
	exe      *hal.Executable
	symbols  []string
	dims     []int64
	bufs     []*hal.Buffer // by binding; states are not owned
	own      []bool
	bytes    []int64 // present size of each argument
	host     [][]byte
	timeline *hal.Timeline
	value    uint64
	batch    hal.Batch
	args     []hal.Region
}

// NewFrame makes a frame for given values of the stage's symbols; those left
// out of at may change from run to run (see SetDim) and buffers are made for
// their upper bounds, or for max's. st may be nil for a stage without state.
func (s *Stage) NewFrame(ctx context.Context, at, max dim.Binding, st *States) (*Frame, error) {
	v, err := s.variant(at)
	if err != nil {
		return nil, err
	}
	f := &Frame{stage: s, exe: v.exe, dims: v.exe.MaxDims()}
	for i, sym := range v.exe.Symbols() {
		f.symbols = append(f.symbols, sym.Name)
		if n, ok := max[sym.Name]; ok {
			f.dims[i] = n
		}
		if n, ok := at[sym.Name]; ok {
			f.dims[i] = n
		}
	}
	if f.timeline, err = s.queue.NewTimeline(0); err != nil {
		return nil, err
	}
	for i, b := range f.exe.Bindings() {
		n, err := f.exe.Size(i, f.dims)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		var buf *hal.Buffer
		if b.Role == driver.RoleState {
			if st == nil || st.bufs[b.Name] == nil || st.size[b.Name] != n {
				return nil, errors.Join(fmt.Errorf("scheduler: %s: state %s is missing or of another size", s.name, b.Name), f.Close())
			}
			buf = st.bufs[b.Name]
		} else if buf, err = s.dev.Alloc(ctx, n); err != nil {
			return nil, errors.Join(fmt.Errorf("scheduler: %s: %s %s: %w", s.name, b.Role, b.Name, err), f.Close())
		}
		f.bufs = append(f.bufs, buf)
		f.own = append(f.own, b.Role != driver.RoleState)
		f.bytes = append(f.bytes, n)
		f.host = append(f.host, nil)
		f.args = append(f.args, buf.At(0, n))
	}
	f.batch.Signal = []hal.Point{{T: f.timeline}}
	return f, nil
}

// Stage returns the stage the frame runs.
func (f *Frame) Stage() *Stage { return f.stage }

// SetDim sets a symbol for the next run. A symbol that the stage fixes must be set to
// its value.
func (f *Frame) SetDim(symbol string, n int64) error {
	for i, s := range f.symbols {
		if s != symbol {
			continue
		}
		if f.dims[i] == n {
			return nil
		}
		f.dims[i] = n
		return f.resize()
	}
	v, _ := f.stage.variant(nil)
	if v != nil {
		for _, v := range f.stage.variants {
			if v.exe == f.exe && v.bind[symbol] == n {
				return nil
			}
		}
	}
	return fmt.Errorf("scheduler: %s: symbol %s cannot be %d", f.stage.name, symbol, n)
}

func (f *Frame) resize() error {
	for i := range f.bytes {
		n, err := f.exe.Size(i, f.dims)
		if err != nil {
			return err
		}
		if n > f.bufs[i].Size() {
			b := f.exe.Bindings()[i]
			return fmt.Errorf("scheduler: %s: %s %s needs %d bytes, the frame has %d", f.stage.name, b.Role, b.Name, n, f.bufs[i].Size())
		}
		f.bytes[i] = n
		f.args[i] = f.bufs[i].At(0, n)
	}
	return nil
}

// Arg returns the position of an input or output for Upload and Download, -1
// when there is none.
func (f *Frame) Arg(role driver.Role, name string) int { return f.exe.Index(role, name) }

// Size returns the bytes of an argument in the next run.
func (f *Frame) Size(arg int) int64 { return f.bytes[arg] }

// Begin starts preparing a run, forgetting what was prepared.
func (f *Frame) Begin() {
	f.batch.Cmds = f.batch.Cmds[:0]
	f.batch.Wait = f.batch.Wait[:0]
}

// After makes the run wait for a point of another frame.
func (f *Frame) After(p hal.Point) { f.batch.Wait = append(f.batch.Wait, p) }

// Upload copies host bytes to an input before the run. The slice must stay
// as it is until the run is done.
func (f *Frame) Upload(arg int, data []byte) {
	f.batch.Cmds = append(f.batch.Cmds, hal.Cmd{Op: hal.Upload, Dst: f.bufs[arg].At(0, int64(len(data))), Host: data})
}

// UploadAt copies host bytes to a part of an input, at a byte offset.
func (f *Frame) UploadAt(arg int, off int64, data []byte) {
	f.batch.Cmds = append(f.batch.Cmds, hal.Cmd{Op: hal.Upload, Dst: f.bufs[arg].At(off, int64(len(data))), Host: data})
}

// Run adds the stage's computation.
func (f *Frame) Run() {
	f.batch.Cmds = append(f.batch.Cmds, hal.Cmd{Op: hal.Run, Exec: f.exe, Args: f.args, Dims: f.dims})
}

// Download copies an output to host bytes after the run.
func (f *Frame) Download(arg int, data []byte) {
	f.batch.Cmds = append(f.batch.Cmds, hal.Cmd{Op: hal.Download, Src: f.bufs[arg].At(0, int64(len(data))), Host: data})
}

// Submit enqueues what was prepared and returns the point at which it is
// done.
func (f *Frame) Submit(ctx context.Context) (hal.Point, error) {
	f.value++
	f.batch.Signal[0].V = f.value
	if err := f.stage.queue.Submit(ctx, &f.batch); err != nil {
		f.value--
		return hal.Point{}, err
	}
	return hal.Point{T: f.timeline, V: f.value}, nil
}

// Wait waits until the last submission is done.
func (f *Frame) Wait(ctx context.Context) error { return f.timeline.Wait(ctx, f.value) }

// Close waits for what is under way and frees the buffers.
func (f *Frame) Close() error {
	var errs []error
	if f.timeline != nil && f.value > 0 {
		// The device still writes to the buffers: wait, whatever became of
		// the caller's context. A lost device fails the timeline.
		_ = f.timeline.Wait(context.Background(), f.value)
	}
	for i, b := range f.bufs {
		if f.own[i] {
			errs = append(errs, b.Close())
		}
	}
	return errors.Join(errs...)
}
