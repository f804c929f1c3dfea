package rig

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/ops"
)

// Simple is a graph with one operator, whose results are exact in every type:
// its inputs are small integers.
type Simple struct {
	Graph  *graph.Graph
	Inputs int   // all of one type, which is the output's too
	Bytes  int64 // of each argument
	op     string
	elem   enc.Elem
	// computes tells that the device claims arithmetic: the results count.
	computes bool
}

// side is that of the square matrices that simple graphs work on.
const side = 16

// The operators, by preference: those with two inputs show more.
var simplest = []struct {
	op     string
	inputs int
}{{"Add", 2}, {"Mul", 2}, {"MatMul", 2}, {"Relu", 1}, {"Identity", 1}, {"Reshape", 1}, {"Softmax", 1}}

// Simplest returns a small graph that the device supports.
func Simplest(d *hal.Device) (*Simple, error) {
	var refused string
	for _, elem := range []enc.Elem{enc.F32, enc.F16, enc.BF16, enc.I32, enc.I8, enc.U8} {
		for _, c := range simplest {
			g, err := build(c.op, c.inputs, elem)
			if err != nil {
				continue // no such operator for the type
			}
			vs, err := d.Supports(g)
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(vs, func(v hal.Verdict) bool { return !v.OK }) {
				size, _ := elem.Bytes(side * side)
				return &Simple{Graph: g, Inputs: c.inputs, Bytes: size, op: c.op, elem: elem, computes: Computes(d.Caps())}, nil
			} else if refused == "" && len(vs) > 0 {
				refused = vs[0].Text
			}
		}
	}
	return nil, suite.Unsupported("the device compiles none of the simplest graphs; the first is refused because: %s", refused)
}

func build(op string, inputs int, elem enc.Elem) (*graph.Graph, error) {
	b := graph.NewBuilder("simple."+op, ops.Standard)
	var in []graph.ValueID
	for i := range inputs {
		in = append(in, b.Input(fmt.Sprintf("x%d", i), graph.OfInts(elem, side, side)))
	}
	if op == "Reshape" {
		in = append(in, b.Ints(side, side))
	}
	b.Output("y", b.Op(op, in))
	return b.Build()
}

// Name tells what it computes.
func (s *Simple) Name() string { return s.op + " of " + s.elem.String() }

// Compile compiles it on a rig, which closes it.
func (s *Simple) Compile(ctx context.Context, r *Rig) (*hal.Executable, error) {
	x, err := r.Device.Compile(ctx, s.Graph, hal.CompileOptions{})
	if err == nil {
		r.Defer(x.Close)
	}
	return x, err
}

// Operand returns the bytes of an input: integers from 0 to 3, those of seed.
func (s *Simple) Operand(seed uint64) []byte {
	vs := make([]float64, side*side)
	for i, n := range Noise(seed, side*side) {
		vs[i] = float64(n % 4)
	}
	return s.encode(vs)
}

func (s *Simple) encode(vs []float64) []byte {
	out := make([]byte, 0, s.Bytes)
	for _, v := range vs {
		switch s.elem {
		case enc.F32:
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		case enc.F16:
			out = binary.LittleEndian.AppendUint16(out, enc.F64ToF16(v))
		case enc.BF16:
			out = binary.LittleEndian.AppendUint16(out, enc.F64ToBF16(v))
		case enc.I32:
			out = binary.LittleEndian.AppendUint32(out, uint32(int32(v)))
		default:
			out = append(out, byte(int8(v)))
		}
	}
	return out
}

func (s *Simple) decode(b []byte) []float64 {
	out := make([]float64, side*side)
	for i := range out {
		switch s.elem {
		case enc.F32:
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		case enc.F16:
			out[i] = float64(enc.F16ToF32(binary.LittleEndian.Uint16(b[2*i:])))
		case enc.BF16:
			out[i] = float64(enc.BF16ToF32(binary.LittleEndian.Uint16(b[2*i:])))
		case enc.I32:
			out[i] = float64(int32(binary.LittleEndian.Uint32(b[4*i:])))
		default:
			out[i] = float64(int8(b[i]))
		}
	}
	return out
}

// Check compares the bytes of an output with what the operands give; with
// zeros, or whatever it may be, on a device that claims no arithmetic: then
// nothing is known but that something was written over before.
func (s *Simple) Check(what string, got, before []byte, operands ...[]byte) error {
	if !s.computes {
		if slices.Equal(got, before) {
			return fmt.Errorf("%s: the output was not written", what)
		}
		return nil
	}
	x := s.decode(operands[0])
	y := x
	if s.Inputs > 1 {
		y = s.decode(operands[1])
	}
	want := make([]float64, len(x))
	for i := range want {
		switch s.op {
		case "Add":
			want[i] = x[i] + y[i]
		case "Mul":
			want[i] = x[i] * y[i]
		case "MatMul":
			for k := range side {
				want[i] += x[i/side*side+k] * y[k*side+i%side]
			}
		case "Softmax":
			return nil // not exact: left to the cases about numbers
		default:
			want[i] = x[i]
		}
	}
	for i, v := range s.decode(got) {
		if v != want[i] {
			return fmt.Errorf("%s: %s gives %v at element %d, want %v", what, s.Name(), v, i, want[i])
		}
	}
	return nil
}

// Args allocates the arguments of a run: inputs with operands of the seed, an
// output full of noise.
func (s *Simple) Args(ctx context.Context, r *Rig, seed uint64) (args []hal.Region, operands [][]byte, before []byte, err error) {
	for i := range s.Inputs {
		operands = append(operands, s.Operand(seed<<8+uint64(i)))
	}
	before = Noise(seed, s.Bytes)
	for _, content := range append(slices.Clone(operands), before) {
		b, err := r.Filled(ctx, content)
		if err != nil {
			return nil, nil, nil, err
		}
		args = append(args, b.All())
	}
	return args, operands, before, nil
}

// Works compiles the simplest graph on the device, runs it and checks what
// comes out: it is usable still. Nothing is left behind.
func Works(ctx context.Context, d *hal.Device) error {
	return On(d, func(r *Rig) error {
		s, err := Simplest(d)
		if err != nil {
			return err
		}
		x, err := s.Compile(ctx, r)
		if err != nil {
			return err
		}
		return s.Run(ctx, r, x, 1)
	})
}

// Run runs it once with arguments of its own and checks the output.
func (s *Simple) Run(ctx context.Context, r *Rig, x *hal.Executable, seed uint64) error {
	args, operands, before, err := s.Args(ctx, r, seed)
	if err != nil {
		return err
	}
	if err := r.Do(ctx, hal.Cmd{Op: hal.Run, Exec: x, Args: args}); err != nil {
		return err
	}
	got, err := r.Read(ctx, args[s.Inputs])
	if err != nil {
		return err
	}
	if err := s.Check("a run", got, before, operands...); err != nil {
		return err
	}
	for i, o := range operands {
		if err := r.Expect(ctx, fmt.Sprintf("input %d after a run", i), args[i], o); err != nil {
			return err
		}
	}
	return nil
}

// Chain returns a graph of n nodes that do the same one after the other.
func (s *Simple) Chain(n int) (*graph.Graph, error) {
	b := graph.NewBuilder("chain", ops.Standard)
	x := b.Input("x0", graph.OfInts(s.elem, side, side))
	in := []graph.ValueID{x}
	if s.Inputs > 1 {
		in = append(in, b.Input("x1", graph.OfInts(s.elem, side, side)))
	} else if s.op == "Reshape" {
		in = append(in, b.Ints(side, side))
	}
	for range n {
		in[0] = b.Op(s.op, in)
	}
	b.Output("y", in[0])
	return b.Build()
}
