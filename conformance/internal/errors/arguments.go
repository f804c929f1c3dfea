package errors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
)

func argumentCases() []suite.Case {
	return []suite.Case{
		skeleton("arguments.run", wrongRuns),
		skeleton("arguments.dims", wrongDims),
		skeleton("arguments.compile", wrongCompiles),
		skeleton("arguments.unsupported", unsupported),
		skeleton("arguments.symbols_on_static", symbolsOnStatic),
	}
}

// wrongRuns changes one thing of a run that is right.
func wrongRuns(ctx context.Context, e *suite.Env) error {
	return rig.On(e.Device, func(r *rig.Rig) error {
		s, err := rig.Simplest(r.Device)
		if err != nil {
			return err
		}
		x, err := s.Compile(ctx, r)
		if err != nil {
			return err
		}
		args, operands, before, err := s.Args(ctx, r, 1)
		if err != nil {
			return err
		}
		big, err := r.Alloc(ctx, 4*s.Bytes)
		if err != nil {
			return err
		}
		gone, err := r.Device.Alloc(ctx, s.Bytes)
		if err != nil {
			return err
		}
		if err := gone.Close(); err != nil {
			return err
		}
		with := func(i int, a hal.Region) hal.Cmd {
			changed := slices.Clone(args)
			changed[i] = a
			return hal.Cmd{Op: hal.Run, Exec: x, Args: changed}
		}
		type wrong struct {
			what string
			cmd  hal.Cmd
			want error
			name string // that the error has to mention
		}
		list := []wrong{
			{"a run of nothing", hal.Cmd{Op: hal.Run, Args: args}, hal.ErrInvalidArgument, ""},
			{"a run without arguments", hal.Cmd{Op: hal.Run, Exec: x}, hal.ErrInvalidArgument, ""},
			{"a run with an argument less", hal.Cmd{Op: hal.Run, Exec: x, Args: args[:len(args)-1]}, hal.ErrInvalidArgument, ""},
			{"a run with an argument more", hal.Cmd{Op: hal.Run, Exec: x, Args: append(slices.Clone(args), big.At(0, s.Bytes))}, hal.ErrInvalidArgument, ""},
			{"a run with dimensions that the graph has not", hal.Cmd{Op: hal.Run, Exec: x, Args: args, Dims: []int64{1}}, hal.ErrInvalidArgument, ""},
		}
		for i, b := range x.Bindings() {
			arg := fmt.Sprintf("%s %s ", b.Role, b.Name)
			for _, n := range []int64{0, 1, s.Bytes - 1, s.Bytes + 1, 2 * s.Bytes} {
				list = append(list, wrong{fmt.Sprintf("%sof %d bytes instead of %d", arg, n, s.Bytes), with(i, big.At(0, n)), hal.ErrInvalidArgument, b.Name})
			}
			list = append(list,
				wrong{arg + "that is not there", with(i, hal.Region{}), hal.ErrInvalidArgument, ""},
				wrong{arg + "of negative size", with(i, big.At(0, -s.Bytes)), hal.ErrInvalidArgument, ""},
				wrong{arg + "before its buffer", with(i, big.At(-64, s.Bytes)), hal.ErrInvalidArgument, ""},
				wrong{arg + "across the end of its buffer", with(i, big.At(3*s.Bytes+64, s.Bytes)), hal.ErrInvalidArgument, ""},
				wrong{arg + "in freed memory", with(i, gone.All()), hal.ErrClosed, ""})
			if b.Align > 1 {
				for _, at := range []int64{1, b.Align / 2, b.Align + 1} {
					list = append(list, wrong{fmt.Sprintf("%sat %d, which is no multiple of %d", arg, at, b.Align), with(i, big.At(at, s.Bytes)), hal.ErrInvalidArgument, b.Name})
				}
			}
		}
		for _, w := range list {
			err := r.Do(ctx, w.cmd)
			if err := rig.Refused(w.what, err, w.want); err != nil {
				return err
			}
			if !strings.Contains(err.Error(), w.name) {
				return fmt.Errorf("%s: the error %q does not name %q", w.what, err, w.name)
			}
		}
		// Nothing of that has run, and what is right does.
		if err := r.Expect(ctx, "the output of refused runs", args[s.Inputs], before); err != nil {
			return err
		}
		if err := r.Do(ctx, hal.Cmd{Op: hal.Run, Exec: x, Args: args}); err != nil {
			return err
		}
		got, err := r.Read(ctx, args[s.Inputs])
		if err != nil {
			return err
		}
		if err := s.Check("a run after refused ones", got, before, operands...); err != nil {
			return err
		}
		for _, i := range []int{-1, len(args), 1 << 30} {
			_, err := x.Size(i, nil)
			if err := rig.Refused(fmt.Sprintf("the size of argument %d", i), err, hal.ErrInvalidArgument); err != nil {
				return err
			}
		}
		if i := x.Index(driver.RoleInput, "nobody"); i != -1 {
			return fmt.Errorf("the argument nobody is said to be at %d", i)
		}
		return nil
	})
}

// symbolic adds x [n,4] to itself.
func symbolic() (*graph.Graph, error) {
	b := graph.NewBuilder("symbolic", ops.Standard)
	n := b.Symbol(dim.Symbol{Name: "n", Min: 2, Max: 9})
	x := b.Input("x", graph.Of(enc.F32, n, dim.Of(4)))
	b.Output("y", b.Op("Add", []graph.ValueID{x, x}))
	return b.Build()
}

// wrongDims runs with values of symbols that are out of bounds, and with sizes
// of others.
func wrongDims(ctx context.Context, e *suite.Env) error {
	g, err := symbolic()
	if err != nil {
		return err
	}
	if e.Caps.Shapes.StaticOnly {
		e.Note("the device takes static shapes only")
		return nil
	}
	if _, _, err := suite.Fit(e.Device, g); suite.IsUnsupported(err) {
		e.Note("%v", err)
		return nil
	} else if err != nil {
		return err
	}
	return rig.On(e.Device, func(r *rig.Rig) error {
		x, err := r.Device.Compile(ctx, g, hal.CompileOptions{})
		if err != nil {
			return err
		}
		r.Defer(x.Close)
		in, err := r.Alloc(ctx, 1024)
		if err != nil {
			return err
		}
		out, err := r.Alloc(ctx, 1024)
		if err != nil {
			return err
		}
		for _, dims := range [][]int64{nil, {}, {1}, {0}, {-1}, {10}, {1 << 40}, {-1 << 63}, {3, 3}} {
			rows := int64(3)
			if len(dims) == 1 && dims[0] > 0 && dims[0] < 16 {
				rows = dims[0]
			}
			cmd := hal.Cmd{Op: hal.Run, Exec: x, Dims: dims, Args: []hal.Region{in.At(0, 16*rows), out.At(0, 16*rows)}}
			if err := rig.Refused(fmt.Sprintf("a run at %v of a symbol from 2 to 9", dims), r.Do(ctx, cmd), hal.ErrInvalidArgument); err != nil {
				return err
			}
			_, err := x.Size(0, dims)
			if err := rig.Refused(fmt.Sprintf("a size at %v of a symbol from 2 to 9", dims), err, hal.ErrInvalidArgument); err != nil {
				return err
			}
		}
		for n := int64(2); n <= 9; n++ {
			run := func(inRows, outRows int64) error {
				return r.Do(ctx, hal.Cmd{Op: hal.Run, Exec: x, Dims: []int64{n}, Args: []hal.Region{in.At(0, 16*inRows), out.At(0, 16*outRows)}})
			}
			if err := run(n, n); err != nil {
				return fmt.Errorf("a run at %d: %w", n, err)
			}
			for _, d := range []int64{-1, 1} {
				if err := rig.Refused(fmt.Sprintf("a run at %d with an input for %d", n, n+d), run(n+d, n), hal.ErrInvalidArgument); err != nil {
					return err
				}
				if err := rig.Refused(fmt.Sprintf("a run at %d with an output for %d", n, n+d), run(n, n+d), hal.ErrInvalidArgument); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// wrongCompiles compiles nothing, and compiles too late.
func wrongCompiles(ctx context.Context, e *suite.Env) error {
	_, err := e.Device.Compile(ctx, nil, hal.CompileOptions{})
	if err := rig.Refused("compiling no graph", err, hal.ErrInvalidArgument); err != nil {
		return err
	}
	_, err = e.Device.Supports(nil)
	if err := rig.Refused("asking about no graph", err, hal.ErrInvalidArgument); err != nil {
		return err
	}
	s, err := rig.Simplest(e.Device)
	if err != nil {
		return err
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	x, err := e.Device.Compile(over, s.Graph, hal.CompileOptions{})
	if err == nil {
		err = x.Close()
	} else {
		err = rig.Refused("compiling with a context that is over", err, context.Canceled)
	}
	return errors.Join(err, rig.Works(ctx, e.Device))
}

// unsupported compiles a graph with a node that the device does not support.
// The error says which.
func unsupported(ctx context.Context, e *suite.Env) error {
	for _, op := range ops.List() {
		if len(op.Inputs) != 1 || len(op.Outputs) != 1 || len(op.Attrs) > 0 || !op.Inputs[0].Types.Has(enc.F64) {
			continue
		}
		b := graph.NewBuilder("unsupported", ops.Standard)
		x := b.Input("x", graph.OfInts(enc.F64, 3, 3))
		b.Scope("the.node")
		name := op.Ref.String()
		b.Output("y", b.Op(name, []graph.ValueID{x}))
		g, err := b.Build()
		if err != nil {
			continue // it takes more than this
		}
		vs, err := e.Device.Supports(g)
		if err != nil {
			return err
		}
		if vs[0].OK {
			continue
		}
		_, err = e.Device.Compile(ctx, g, hal.CompileOptions{})
		if err := rig.Refused(name+" of f64", err, hal.ErrUnsupported); err != nil {
			return err
		}
		if text := err.Error(); !strings.Contains(text, "the.node") || !strings.Contains(text, vs[0].Text) {
			return fmt.Errorf("%s of f64 is refused with %q, which does not name the node or the reason %q", name, text, vs[0].Text)
		}
		return rig.Works(ctx, e.Device)
	}
	e.Note("the device supports all functions of f64")
	return nil
}

// symbolsOnStatic compiles a graph with symbols on a device that takes none.
func symbolsOnStatic(ctx context.Context, e *suite.Env) error {
	if !e.Caps.Shapes.StaticOnly {
		e.Note("the device takes symbols")
		return nil
	}
	g, err := symbolic()
	if err != nil {
		return err
	}
	_, err = e.Device.Compile(ctx, g, hal.CompileOptions{})
	if err := rig.Refused("a graph with a symbol", err, hal.ErrUnsupported); err != nil {
		return err
	}
	return rig.Works(ctx, e.Device)
}
