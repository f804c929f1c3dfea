package onnx

import (
	"errors"
	"fmt"
	"io"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// placed is content with its place in the external file.
type placed struct {
	offset  int64
	content *pb.Content
}

// externalAlign is the alignment of weights in the external file.
const externalAlign = 64

// weight writes a constant: as an initializer, with the nodes that decode it
// where its encoding has an ONNX form. Bytes are read when they are written,
// so that one weight is held at a time.
func (x *exporter) weight(id graph.ValueID) error {
	v, name := &x.g.Values[id], x.names[id]
	if v.Data.Dims != nil {
		return x.dims(name, v.Type, v.Data.Dims)
	}
	shape, ok := v.Type.Shape.Const()
	if !ok {
		return fmt.Errorf("has shape %s; a weight's must be constant", v.Type.Shape)
	}
	if !v.Data.HasData() {
		return errors.New("has no data; the graph can only be planned with")
	}
	l, err := v.Type.Enc.Layout(v.Type.Elem, shape)
	if err != nil {
		return err
	}
	switch elem := v.Type.Enc.Stored(v.Type.Elem); {
	case v.Type.Enc.Kind == enc.Plain && storedAs(v.Data, elem):
		if elem != v.Type.Elem {
			x.need(typeSince("Cast", 0, elem))
			stored := x.fresh(name + "." + elem.String())
			x.addNamed("Cast", name, []string{stored}, attrInt("to", int64(v.Type.Elem.ONNX())))
			name = stored
		}
		return x.initializer(name, elem, shape, x.plane(v, l.Data, func(p *graph.Planes) []byte { return p.Data }))
	case v.Type.Enc.Kind == enc.Affine && elem != enc.U32: // DequantizeLinear knows no uint32
		if _, err := graph.ReadWeight(v, x.opts.Data); err == nil {
			return x.affine(v, name, shape, l)
		} else if !errors.Is(err, graph.ErrDerived) && !errors.Is(err, graph.ErrLayout) {
			return err
		}
	}
	return x.initializer(name, v.Type.Elem, shape, x.decoded(v, shape))
}

// storedAs reports whether all parts of a weight hold plain numbers of type e.
func storedAs(w *graph.Weight, e enc.Elem) bool {
	for i := range w.Parts {
		if p := &w.Parts[i]; p.Enc != (enc.Encoding{}) || p.Elem != e {
			return false
		}
	}
	return true
}

// affine writes codes, scales and zero points with a DequantizeLinear.
func (x *exporter) affine(v *graph.Value, name string, shape []int64, l enc.Layout) error {
	e := v.Type.Enc
	in := []string{x.fresh(name + ".codes"), x.fresh(name + ".scale")}
	codes := x.plane(v, l.Data, func(p *graph.Planes) []byte { return p.Data })
	if err := x.initializer(in[0], e.Store, shape, codes); err != nil {
		return err
	}
	// ONNX gives the result in the type of the scales and rounds to it, so
	// scales are widened to the result's type where that is float32 or wider.
	wide := e.Scale
	scale := x.plane(v, l.Scale, func(p *graph.Planes) []byte { return p.Scale })
	if v.Type.Elem.Bits() >= 32 && e.Scale != enc.F32 {
		wide = enc.F32
		scale = widened(scale, e.Scale, l.ScaleShape)
	}
	if err := x.initializer(in[1], wide, l.ScaleShape, scale); err != nil {
		return err
	}
	if e.HasZero {
		in = append(in, x.fresh(name+".zero"))
		zero := x.plane(v, l.Zero, func(p *graph.Planes) []byte { return p.Zero })
		if err := x.initializer(in[2], e.Store, l.ScaleShape, zero); err != nil {
			return err
		}
	}
	var attrs []pb.Attribute
	if e.Axis >= 0 {
		attrs = append(attrs, attrInt("axis", int64(e.Axis)))
	}
	if e.BlockLen > 0 {
		attrs = append(attrs, attrInt("block_size", int64(e.BlockLen)))
		x.need(attrSince["DequantizeLinear"]["block_size"])
	}
	x.need(typeSince("DequantizeLinear", 0, e.Store))
	if wide == v.Type.Elem {
		x.addNamed("DequantizeLinear", name, in, attrs...)
		return nil
	}
	x.addNamed("Cast", name, []string{x.add("DequantizeLinear", name+".real", in, attrs...)}, attrInt("to", int64(v.Type.Elem.ONNX())))
	return nil
}

// plane returns one plane of a weight, of size bytes.
func (x *exporter) plane(v *graph.Value, size int64, pick func(*graph.Planes) []byte) *pb.Content {
	return &pb.Content{Size: size, Write: func(w io.Writer) error {
		p, err := graph.ReadWeight(v, x.opts.Data)
		if err != nil {
			return err
		}
		_, err = w.Write(pick(p))
		return err
	}}
}

// widened converts scales of a narrow type to float32.
func widened(c *pb.Content, e enc.Elem, shape []int64) *pb.Content {
	return &pb.Content{Size: c.Size / int64(e.Bits()/8) * 4, Write: func(w io.Writer) error {
		var b buffer
		if err := c.Write(&b); err != nil {
			return err
		}
		t, err := oracle.FromConst(&graph.Tensor{Elem: e, Shape: shape, Data: b})
		if err != nil {
			return err
		}
		wide := *t
		wide.Elem = enc.F32 // every number of a narrow type is a float32
		return writeTensor(w, &wide)
	}}
}

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// decoded returns a weight as plain numbers of its logical type.
func (x *exporter) decoded(v *graph.Value, shape []int64) *pb.Content {
	c := &pb.Content{}
	n, err := dim.Count(shape)
	if err == nil {
		c.Size, err = v.Type.Elem.Bytes(n)
	}
	c.Write = func(w io.Writer) error {
		if err != nil {
			return err
		}
		t, err := oracle.Weight(v, x.opts.Data, nil)
		if err != nil {
			return err
		}
		return writeTensor(w, t)
	}
	return c
}

func writeTensor(w io.Writer, t *oracle.Tensor) error {
	plain, err := t.Const()
	if err != nil {
		return err
	}
	_, err = w.Write(plain.Data)
	return err
}

// initializer adds a tensor, in the model or in the external file.
func (x *exporter) initializer(name string, e enc.Elem, shape []int64, c *pb.Content) error {
	t := pb.Tensor{Name: name, DataType: e.ONNX(), Dims: shape}
	if e.Bits() < 8 {
		x.need(21)
	}
	if x.opts.External != nil && c.Size > inlineMax {
		at := (x.end + externalAlign - 1) / externalAlign * externalAlign
		x.external = append(x.external, placed{at, c})
		x.end = at + c.Size
		t.IsExtern = true
		t.External = []pb.Entry{
			{Key: "location", Value: x.opts.ExternalName},
			{Key: "offset", Value: fmt.Sprint(at)},
			{Key: "length", Value: fmt.Sprint(c.Size)},
		}
	} else {
		t.Content = c
	}
	x.out.Initializers = append(x.out.Initializers, t)
	return nil
}

// writeExternal writes the external file.
func (x *exporter) writeExternal() error {
	at := int64(0)
	for _, p := range x.external {
		if _, err := x.opts.External.Write(make([]byte, p.offset-at)); err != nil {
			return fmt.Errorf("write external data: %w", err)
		}
		if err := p.content.Copy(x.opts.External); err != nil {
			return fmt.Errorf("write external data: %w", err)
		}
		at = p.offset + p.content.Size
	}
	return nil
}
