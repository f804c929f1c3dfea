package errors

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/ops"
)

// weightCases are about weights that cannot be read. A device that computes
// nothing need not read any.
func weightCases() []suite.Case {
	const profiles = suite.Vision | suite.Language
	return []suite.Case{
		{ID: "errors.weights.no_source", Profiles: profiles, Run: noSource},
		{ID: "errors.weights.failing_source", Profiles: profiles, Run: failingSource},
		{ID: "errors.weights.short_source", Profiles: profiles, Run: shortSource},
		{ID: "errors.weights.planned", Profiles: profiles, Run: planned},
		{ID: "errors.weights.strange_scales", Profiles: suite.Quantized, Run: strangeScales},
	}
}

// files is data whose sources are in a map; what is not there is an error.
type files map[string][]byte

var errNoFile = errors.New("there is no file 42")

func (f files) Source(name string) ([]byte, error) {
	b, ok := f[name]
	if !ok {
		return nil, fmt.Errorf("source %q: %w", name, errNoFile)
	}
	return b, nil
}

const (
	inner = 16 // of the product below
	file  = "model.bin"
)

// product multiplies by a matrix of a file: x [4,16] times w [16,16].
func product(e enc.Encoding, p graph.Part) (*graph.Graph, error) {
	b := graph.NewBuilder("product", ops.Standard)
	b.Source(graph.Source{Name: file})
	x := b.Input("x", graph.OfInts(enc.F32, 4, inner))
	t := graph.OfInts(enc.F32, inner, inner)
	t.Enc = e
	p.Elem, p.Shape, p.Enc = enc.F32, []int64{inner, inner}, e
	b.Output("y", b.Op("MatMul", []graph.ValueID{x, b.Weight("the.weight", t, &graph.Weight{Parts: []graph.Part{p}})}))
	return b.Build()
}

// refusedData compiles a graph whose weight cannot be read. The error names
// the weight or its source, and the device works afterwards, with that graph
// too.
func refusedData(ctx context.Context, e *suite.Env, what string, g *graph.Graph, data graph.Data, want ...error) error {
	if _, _, err := suite.Fit(e.Device, g); err != nil {
		return err
	}
	x, err := e.Device.Compile(ctx, g, hal.CompileOptions{Data: data})
	if err == nil {
		return errors.Join(fmt.Errorf("%s was compiled", what), x.Close())
	}
	if len(want) > 0 {
		if err := rig.Refused(what, err, want...); err != nil {
			return err
		}
	}
	if text := err.Error(); !strings.Contains(text, "the.weight") && !strings.Contains(text, file) {
		return fmt.Errorf("%s: the error %q names neither the weight nor its source", what, text)
	}
	if lost := e.Device.Lost(); lost != nil {
		return fmt.Errorf("%s: the device is lost: %w", what, lost)
	}
	return rig.Works(ctx, e.Device)
}

func noSource(ctx context.Context, e *suite.Env) error {
	g, err := product(enc.Encoding{}, graph.Part{Source: file})
	if err != nil {
		return err
	}
	return refusedData(ctx, e, "a weight without any data", g, nil, hal.ErrInvalidArgument, graph.ErrNoData)
}

func failingSource(ctx context.Context, e *suite.Env) error {
	g, err := product(enc.Encoding{}, graph.Part{Source: file})
	if err != nil {
		return err
	}
	if err := refusedData(ctx, e, "a weight whose source cannot be opened", g, files{}); err != nil {
		return err
	}
	_, err = e.Device.Compile(ctx, g, hal.CompileOptions{Data: files{}})
	if !strings.Contains(fmt.Sprint(err), errNoFile.Error()) {
		return fmt.Errorf("the source said %q, the error %q does not say that", errNoFile, err)
	}
	return nil
}

func shortSource(ctx context.Context, e *suite.Env) error {
	const size = 4 * inner * inner
	for _, c := range []struct{ offset, length int64 }{{0, size - 1}, {0, 0}, {64, size}, {64, 65}, {size, size}, {1 << 40, size}} {
		g, err := product(enc.Encoding{}, graph.Part{Source: file, Offset: c.offset})
		if err != nil {
			return err
		}
		what := fmt.Sprintf("a weight of %d bytes at %d of a source of %d", size, c.offset, c.length)
		if err := refusedData(ctx, e, what, g, files{file: make([]byte, c.length)}, refusals...); err != nil {
			return err
		}
		// Once the source is long enough, it is the same graph that works.
		if c.offset > size {
			continue
		}
		x, err := e.Device.Compile(ctx, g, hal.CompileOptions{Data: files{file: make([]byte, c.offset+size)}})
		if err != nil {
			return fmt.Errorf("%s, once that was long enough: %w", what, err)
		}
		if err := x.Close(); err != nil {
			return err
		}
	}
	return nil
}

func planned(ctx context.Context, e *suite.Env) error {
	g, err := product(enc.Encoding{}, graph.Part{})
	if err != nil {
		return err
	}
	return refusedData(ctx, e, "a weight that is only planned with", g, files{}, hal.ErrInvalidArgument, hal.ErrUnsupported, graph.ErrNoData)
}

// strangeScales runs on quantized weights whose scales are no numbers, or
// infinite, or zero: that gives such numbers, nothing worse.
func strangeScales(ctx context.Context, e *suite.Env) error {
	tried := 0
	for _, code := range []enc.Elem{enc.I8, enc.I4} {
		encoding := enc.Blocked(code, 0, inner)
		layout, err := encoding.Layout(enc.F32, []int64{inner, inner})
		if err != nil {
			return err
		}
		g, err := product(encoding, graph.Part{Source: file, ScaleOffset: layout.Data})
		if err != nil {
			return err
		}
		if _, _, err := suite.Fit(e.Device, g); suite.IsUnsupported(err) {
			continue // another encoding, then
		} else if err != nil {
			return err
		}
		tried++
		for _, scale := range []float32{0, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), -1, math.MaxFloat32, math.SmallestNonzeroFloat32} {
			content := rig.Noise(1, layout.Total())
			for i := layout.Data; i+4 <= int64(len(content)); i += 4 {
				binary.LittleEndian.PutUint32(content[i:], math.Float32bits(scale))
			}
			what := fmt.Sprintf("a weight of %s with scale %v", code, scale)
			err := rig.On(e.Device, func(r *rig.Rig) error {
				x, err := r.Device.Compile(ctx, g, hal.CompileOptions{Data: files{file: content}})
				if err != nil {
					return rig.Refused(what, err, refusals...)
				}
				r.Defer(x.Close)
				return runOnce(ctx, r, x, nil)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			if lost := e.Device.Lost(); lost != nil {
				return fmt.Errorf("%s: the device is lost: %w", what, lost)
			}
		}
	}
	if tried == 0 {
		e.Note("the device takes no weights of 8 or 4 bits in blocks of %d", inner)
	}
	return rig.Works(ctx, e.Device)
}

// runOnce runs with inputs of zeros, or with the contents given by name.
func runOnce(ctx context.Context, r *rig.Rig, x *hal.Executable, contents map[string][]byte) error {
	cmd := hal.Cmd{Op: hal.Run, Exec: x}
	for i, b := range x.Bindings() {
		n, err := x.Size(i, nil)
		if err != nil {
			return err
		}
		buf, err := r.Alloc(ctx, n)
		if err != nil {
			return err
		}
		if c := contents[b.Name]; c != nil {
			if err := r.Write(ctx, buf.All(), c); err != nil {
				return err
			}
		}
		cmd.Args = append(cmd.Args, buf.All())
	}
	return r.Do(ctx, cmd)
}
