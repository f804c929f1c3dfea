package plugin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal/abi"
	"github.com/heddle-ml/heddle/hal/driver"
)

// executable is a compiled graph.
type executable struct {
	dev      *device
	handle   uint64
	bindings []driver.Binding
	symbols  []dim.Symbol
	release  func() // of the weights' files
	closed   atomic.Bool
}

// errNoData is wrapped where a graph can only be planned with.
var errNoData = errors.New("it has no data: the graph is only planned with")

// input is what compile and load are given of a graph.
type input struct {
	graph   []byte
	weights []abi.Weight
	pin     runtime.Pinner
	release func()
}

// prepare makes the form of g that the library wants.
func (d *device) prepare(g *graph.Graph, data graph.Data) (in *input, err error) {
	for i := range g.Values {
		v := &g.Values[i]
		if v.Kind == graph.Const && v.Data != nil && !v.Data.HasData() {
			return nil, fmt.Errorf("weight %q: %w: %w", v.Name, errNoData, driver.ErrUnsupported)
		}
		if err := usable(v); err != nil && !d.onnx {
			return nil, fmt.Errorf("%w: %w", err, driver.ErrUnsupported)
		}
	}
	in = new(input)
	var list []where
	if d.onnx {
		in.graph, list, in.release, err = exportONNX(g, data)
	} else {
		var f *form
		if f, err = d.takeForm(g); err == nil {
			in.graph = f.blob
			list, in.release, err = d.sources.open(f, data)
		}
	}
	if err != nil {
		return nil, err
	}
	for _, w := range list {
		in.weights = append(in.weights, abi.Weight{Name: strOf(&in.pin, w.name), Source: uint32(w.index), FD: int32(w.fd), Offset: uint64(w.offset), Size: uint64(w.size)})
	}
	return in, nil
}

func (d *device) Compile(ctx context.Context, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in, err := d.prepare(g, o.Data)
	if err != nil {
		return nil, err
	}
	defer in.pin.Unpin()
	word, stop := stopWord(ctx, &in.pin)
	defer stop()
	args := &abi.CompileArgs{Graph: arrayOf(&in.pin, in.graph), GraphSize: uint64(len(in.graph)), Weights: arrayOf(&in.pin, in.weights), WeightCount: uint32(len(in.weights)),
		Label: strOf(&in.pin, o.Label), Cancel: address(word)}
	err = call(d, "compile", d.lib.table.Compile, d.handle, args)
	return d.newExecutable(ctx, "compile", g, in, args.Executable, args.ArgAlign, err)
}

// newExecutable checks what the library made, if err does not say that it
// failed.
func (d *device) newExecutable(ctx context.Context, name string, g *graph.Graph, in *input, handle uint64, align uint32, err error) (driver.Executable, error) {
	if err != nil {
		in.release()
		switch {
		case !errors.Is(err, context.Canceled):
		case ctx.Err() != nil:
			err = fmt.Errorf("%s: %w", name, ctx.Err())
		default:
			err = nonsense(name, "it says that it was cancelled, and nobody did")
		}
		return nil, err
	}
	if align == 0 {
		align = driver.PlaneAlign
	}
	x := &executable{dev: d, handle: handle, symbols: g.Symbols, release: in.release}
	switch {
	case handle == 0:
		in.release()
		return nil, nonsense(name, "no handle")
	case align > 4096 || align&(align-1) != 0:
		_ = x.Close() // the reason to report is the other
		return nil, nonsense(name, "alignment %d of arguments", align)
	}
	x.bindings = driver.BindingsOf(g, int64(max(align, driver.PlaneAlign)))
	d.drainLogs()
	return x, nil
}

func (x *executable) Bindings() []driver.Binding { return x.bindings }
func (x *executable) Symbols() []dim.Symbol      { return x.symbols }

// Footprint is zero where the library does not tell.
func (x *executable) Footprint() driver.Footprint {
	args := &abi.FootprintArgs{}
	if x.dev.lib.table.Footprint == 0 || call(x.dev, "footprint", x.dev.lib.table.Footprint, x.handle, args) != nil {
		return driver.Footprint{}
	}
	clamp := func(n uint64) int64 { return int64(min(n, 1<<62)) }
	return driver.Footprint{Weights: clamp(args.Weights), Mapped: clamp(args.Mapped), Scratch: clamp(args.Scratch)}
}

// Close closes the executable. Calling it again does nothing.
func (x *executable) Close() error {
	if x.closed.Swap(true) {
		return nil
	}
	err := call(x.dev, "release", x.dev.lib.table.Release, x.handle, &abi.NoneArgs{})
	x.release()
	return err
}
