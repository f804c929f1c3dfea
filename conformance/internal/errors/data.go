package errors

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
)

// dataCases run on inputs that the operator cannot take. What comes out is the
// device's affair, an error or any numbers; memory that is not the output's is
// not.
func dataCases() []suite.Case {
	var out []suite.Case
	for _, c := range []struct {
		id    string
		build func(b *graph.Builder)
	}{
		{"gather_index", func(b *graph.Builder) {
			x := b.Input("x", graph.OfInts(enc.F32, 5, 4))
			b.Output("y", b.Op("Gather", []graph.ValueID{x, b.Input("index", graph.OfInts(enc.I64, 3))}))
		}},
		{"scatter_position", func(b *graph.Builder) {
			cache := b.State("cache", graph.OfInts(enc.F32, 1, 2, 6, 4))
			x := b.Input("x", graph.OfInts(enc.F32, 1, 2, 3, 4))
			next := b.Op("TensorScatter", []graph.ValueID{cache, x, b.Input("index", graph.OfInts(enc.I64, 1))}, graph.Int("axis", 2))
			b.SetState("cache", next)
			b.Output("y", b.Op("Relu", []graph.ValueID{next}))
		}},
	} {
		out = append(out, suite.Case{ID: "errors.data." + c.id, Profiles: suite.Language, Run: func(ctx context.Context, e *suite.Env) error {
			b := graph.NewBuilder(c.id, ops.Standard)
			c.build(b)
			g, err := b.Build()
			if err != nil {
				return err
			}
			return wrongIndices(ctx, e, g)
		}})
	}
	return out
}

// wrongIndices runs with all sorts of values as input "index", the argument
// being in the middle of other memory.
func wrongIndices(ctx context.Context, e *suite.Env, g *graph.Graph) error {
	if _, _, err := suite.Fit(e.Device, g); err != nil {
		return err
	}
	x, err := e.Device.Compile(ctx, g, hal.CompileOptions{})
	if err != nil {
		return err
	}
	defer x.Close()
	failed := 0
	values := []int64{0, 5, 6, -6, -7, 100, -100, 1 << 20, 1 << 31, 1 << 32, 1 << 61, -1 << 31, -1 << 62, 1<<63 - 1, -1 << 63}
	for _, v := range values {
		err := rig.On(e.Device, func(r *rig.Rig) error {
			const room = 1024
			cmd := hal.Cmd{Op: hal.Run, Exec: x}
			var guarded []*hal.Buffer
			for i, b := range x.Bindings() {
				n, err := x.Size(i, nil)
				if err != nil {
					return err
				}
				content := rig.Noise(uint64(i), n+2*room)
				middle := content[room : room+n]
				for k := range middle { // numbers of any kind that are nothing special
					middle[k] = byte(k % 4)
				}
				if b.Name == "index" {
					for at := 0; at < len(middle); at += 8 {
						binary.LittleEndian.PutUint64(middle[at:], uint64(v))
					}
				}
				buf, err := r.Filled(ctx, content)
				if err != nil {
					return err
				}
				guarded = append(guarded, buf)
				cmd.Args = append(cmd.Args, buf.At(room, n))
			}
			run := r.Do(ctx, cmd)
			if run != nil {
				failed++
				if lost := e.Device.Lost(); lost != nil {
					return fmt.Errorf("the device is lost: %w", lost)
				}
			}
			// The rig's timeline may have failed: look with another one.
			return rig.On(e.Device, func(look *rig.Rig) error {
				for i, buf := range guarded {
					want := rig.Noise(uint64(i), buf.Size())
					b := x.Bindings()[i]
					what := fmt.Sprintf("memory around %s %s", b.Role, b.Name)
					if err := look.Expect(ctx, what, buf.At(0, room), want[:room]); err != nil {
						return err
					}
					if err := look.Expect(ctx, what, buf.At(buf.Size()-room, room), want[buf.Size()-room:]); err != nil {
						return err
					}
					if b.Role == driver.RoleInput && b.Name == "index" {
						got, err := look.Read(ctx, cmd.Args[i])
						if err != nil {
							return err
						}
						if got := int64(binary.LittleEndian.Uint64(got)); got != v {
							return fmt.Errorf("the index %d has become %d", v, got)
						}
					}
				}
				return nil
			})
		})
		if err != nil {
			return fmt.Errorf("index %d: %w", v, err)
		}
	}
	e.Note("%d of %d indices were refused", failed, len(values))
	return rig.Works(ctx, e.Device)
}
