package pb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrTooLarge tells that a model would exceed what protobuf readers accept.
var ErrTooLarge = errors.New("an ONNX file may have at most 2 GiB")

// Write writes a model. Tensors' Content is asked for its bytes one after the
// other, in the order of the model's tensors. Equal models give equal bytes.
func Write(w io.Writer, m *Model) error {
	e := m.encode()
	if e.size > math.MaxInt32 {
		return fmt.Errorf("onnx: the model has %d bytes: %w", e.size, ErrTooLarge)
	}
	out := bufio.NewWriterSize(w, 1<<16)
	for _, p := range e.pieces {
		if _, err := out.Write(p.bytes); err != nil {
			return fmt.Errorf("onnx: write: %w", err)
		}
		if p.content == nil {
			continue
		}
		if err := p.content.Copy(out); err != nil {
			return fmt.Errorf("onnx: write: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("onnx: write: %w", err)
	}
	return nil
}

// Copy writes the bytes to w and checks that they are as many as announced.
func (c *Content) Copy(w io.Writer) error {
	n := &counter{w: w}
	if err := c.Write(n); err != nil {
		return err
	}
	if n.n != c.Size {
		return fmt.Errorf("a tensor gave %d bytes, its size is %d", n.n, c.Size)
	}
	return nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// message is an encoded message. Its length is known before the contents of
// its tensors are.
type message struct {
	pieces []piece
	size   int64
}

// piece is bytes, then the content of a tensor, if any.
type piece struct {
	bytes   []byte
	content *Content
}

// tail returns the bytes that can be appended to.
func (m *message) tail() *piece {
	if n := len(m.pieces); n > 0 && m.pieces[n-1].content == nil {
		return &m.pieces[n-1]
	}
	m.pieces = append(m.pieces, piece{})
	return &m.pieces[len(m.pieces)-1]
}

// edit appends bytes with f.
func (m *message) edit(f func([]byte) []byte) {
	t := m.tail()
	before := len(t.bytes)
	t.bytes = f(t.bytes)
	m.size += int64(len(t.bytes) - before)
}

func (m *message) head(num protowire.Number, size int64) {
	m.edit(func(b []byte) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(size))
	})
}

func (m *message) varint(num protowire.Number, v int64) {
	m.edit(func(b []byte) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(v))
	})
}

func (m *message) float(num protowire.Number, v float32) {
	m.edit(func(b []byte) []byte {
		return protowire.AppendFixed32(protowire.AppendTag(b, num, protowire.Fixed32Type), math.Float32bits(v))
	})
}

func (m *message) blob(num protowire.Number, v []byte) {
	m.edit(func(b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
	})
}

// text writes a string that is not empty.
func (m *message) text(num protowire.Number, s string) {
	if s != "" {
		m.blob(num, []byte(s))
	}
}

func (m *message) texts(num protowire.Number, list []string) {
	for _, s := range list {
		m.blob(num, []byte(s))
	}
}

// packed writes a run of integers that is not empty.
func packed[T int32 | int64 | uint64](m *message, num protowire.Number, list []T) {
	if len(list) == 0 {
		return
	}
	var b []byte
	for _, v := range list {
		b = protowire.AppendVarint(b, uint64(v))
	}
	m.blob(num, b)
}

// sub embeds a message.
func (m *message) sub(num protowire.Number, s *message) {
	m.head(num, s.size)
	for _, p := range s.pieces {
		m.edit(func(b []byte) []byte { return append(b, p.bytes...) })
		if p.content != nil {
			m.tail().content = p.content
			m.size += p.content.Size
		}
	}
}

func (m *Model) encode() *message {
	e := &message{}
	e.varint(1, m.IRVersion)
	e.text(2, m.ProducerName)
	e.text(3, m.ProducerVersion)
	e.text(4, m.Domain)
	if m.Graph != nil {
		e.sub(7, m.Graph.encode())
	}
	opsets(e, 8, m.Opsets)
	entries(e, 14, m.Metadata)
	for i := range m.Functions {
		e.sub(25, m.Functions[i].encode())
	}
	return e
}

func opsets(e *message, num protowire.Number, list []Opset) {
	for _, o := range list {
		s := &message{}
		s.text(1, o.Domain)
		s.varint(2, o.Version)
		e.sub(num, s)
	}
}

func entries(e *message, num protowire.Number, list []Entry) {
	for _, x := range list {
		s := &message{}
		s.text(1, x.Key)
		s.text(2, x.Value)
		e.sub(num, s)
	}
}

func (g *Graph) encode() *message {
	e := &message{}
	for i := range g.Nodes {
		e.sub(1, g.Nodes[i].encode())
	}
	e.text(2, g.Name)
	for i := range g.Initializers {
		e.sub(5, g.Initializers[i].encode())
	}
	for i, list := range [][]ValueInfo{g.Inputs, g.Outputs, g.ValueInfo} {
		for k := range list {
			e.sub(protowire.Number(11+i), list[k].encode())
		}
	}
	return e
}

func (n *Node) encode() *message {
	e := &message{}
	e.texts(1, n.Inputs)
	e.texts(2, n.Outputs)
	e.text(3, n.Name)
	e.text(4, n.OpType)
	for i := range n.Attrs {
		e.sub(5, n.Attrs[i].encode())
	}
	e.text(7, n.Domain)
	e.text(8, n.Overload)
	return e
}

func (a *Attribute) encode() *message {
	e := &message{}
	e.text(1, a.Name)
	switch a.Type {
	case AttrFloat:
		e.float(2, a.Float)
	case AttrInt:
		e.varint(3, a.Int)
	case AttrString:
		e.blob(4, a.Str)
	case AttrTensor:
		e.sub(5, a.Tensor.encode())
	case AttrGraph:
		e.sub(6, a.Graph.encode())
	case AttrFloats:
		for _, f := range a.Floats {
			e.float(7, f)
		}
	case AttrInts:
		for _, i := range a.Ints {
			e.varint(8, i)
		}
	case AttrStrings:
		for _, s := range a.Strings {
			e.blob(9, s)
		}
	}
	e.varint(20, int64(a.Type))
	e.text(21, a.Ref)
	return e
}

// EncodeTensor returns a file that is one TensorProto. The tensor must not
// have Content.
func EncodeTensor(t *Tensor) []byte {
	var out []byte
	for _, p := range t.encode().pieces {
		out = append(out, p.bytes...)
	}
	return out
}

func (t *Tensor) encode() *message {
	e := &message{}
	packed(e, 1, t.Dims)
	e.varint(2, int64(t.DataType))
	if len(t.Floats) > 0 {
		var b []byte
		for _, f := range t.Floats {
			b = protowire.AppendFixed32(b, math.Float32bits(f))
		}
		e.blob(4, b)
	}
	packed(e, 5, t.Int32s)
	for _, s := range t.Strings {
		e.blob(6, s)
	}
	packed(e, 7, t.Int64s)
	e.text(8, t.Name)
	switch {
	case t.Content != nil:
		e.head(9, t.Content.Size)
		e.tail().content = t.Content
		e.size += t.Content.Size
	case t.Raw != nil:
		e.blob(9, t.Raw)
	}
	if len(t.Doubles) > 0 {
		var b []byte
		for _, f := range t.Doubles {
			b = protowire.AppendFixed64(b, math.Float64bits(f))
		}
		e.blob(10, b)
	}
	packed(e, 11, t.Uint64s)
	entries(e, 13, t.External)
	if t.IsExtern {
		e.varint(14, 1)
	}
	return e
}

func (v *ValueInfo) encode() *message {
	e := &message{}
	e.text(1, v.Name)
	if !v.HasType {
		return e
	}
	tensor := &message{}
	tensor.varint(1, int64(v.ElemType))
	if v.HasShape {
		shape := &message{}
		for _, d := range v.Shape {
			s := &message{}
			if d.HasValue {
				s.varint(1, d.Value)
			} else {
				s.text(2, d.Param)
			}
			shape.sub(1, s)
		}
		tensor.sub(2, shape)
	}
	typ := &message{}
	typ.sub(1, tensor)
	e.sub(2, typ)
	return e
}

func (f *Function) encode() *message {
	e := &message{}
	e.text(1, f.Name)
	e.texts(4, f.Inputs)
	e.texts(5, f.Outputs)
	e.texts(6, f.Attrs)
	for i := range f.Nodes {
		e.sub(7, f.Nodes[i].encode())
	}
	opsets(e, 9, f.Opsets)
	e.text(10, f.Domain)
	for i := range f.AttrDefaults {
		e.sub(11, f.AttrDefaults[i].encode())
	}
	e.text(13, f.Overload)
	return e
}
