package pb

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Limits of a file. A model of 400 layers has some ten thousand nodes; each
// message costs a few hundred bytes of memory though it may take two in the
// file.
const (
	maxDepth    = 48
	maxMessages = 1 << 21
)

// ErrFormat is wrapped by every error of this package about malformed bytes.
var ErrFormat = errors.New("malformed ONNX file")

// Decode reads a model. Tensors alias b.
func Decode(b []byte) (*Model, error) {
	m := &Model{}
	var d decoder
	if err := d.message("ModelProto", b, 0, func(f field) error { return d.model(m, f) }); err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return m, nil
}

// DecodeTensor reads a file that is one TensorProto, as in ONNX's test data.
func DecodeTensor(b []byte) (*Tensor, error) {
	t := &Tensor{}
	var d decoder
	if err := d.tensor(t, b, 0); err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return t, nil
}

type decoder struct {
	depth int
	count int
}

// field is one field of a message: bytes or num, by its wire type. At is the
// place of bytes in the file.
type field struct {
	num   protowire.Number
	typ   protowire.Type
	bytes []byte
	at    int64
	value uint64
}

// message calls f for each field of b, which lies at byte at of the file.
func (d *decoder) message(name string, b []byte, at int64, f func(field) error) error {
	if d.depth++; d.depth > maxDepth {
		return fmt.Errorf("%w: messages nest deeper than %d", ErrFormat, maxDepth)
	}
	defer func() { d.depth-- }()
	if d.count++; d.count > maxMessages {
		return fmt.Errorf("%w: more than %d messages", ErrFormat, maxMessages)
	}
	for i := 0; i < len(b); {
		num, typ, n := protowire.ConsumeTag(b[i:])
		if n < 0 {
			return fmt.Errorf("%w: %s at byte %d: %w", ErrFormat, name, at+int64(i), protowire.ParseError(n))
		}
		start := i
		i += n
		v := field{num: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			v.value, n = protowire.ConsumeVarint(b[i:])
		case protowire.Fixed32Type:
			var u uint32
			u, n = protowire.ConsumeFixed32(b[i:])
			v.value = uint64(u)
		case protowire.Fixed64Type:
			v.value, n = protowire.ConsumeFixed64(b[i:])
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(b[i:])
			v.at = at + int64(i+n-len(v.bytes))
		default:
			n = protowire.ConsumeFieldValue(num, typ, b[i:])
		}
		if n < 0 {
			return fmt.Errorf("%w: %s field %d at byte %d: %w", ErrFormat, name, num, at+int64(start), protowire.ParseError(n))
		}
		i += n
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}

func wrongType(name string, f field) error {
	return fmt.Errorf("%w: %s field %d has wire type %d", ErrFormat, name, f.num, f.typ)
}

// str stores a string.
func str(to *string, f field) error {
	if f.typ != protowire.BytesType {
		return wrongType("string", f)
	}
	*to = string(f.bytes)
	return nil
}

func strs(to *[]string, f field) error {
	var s string
	err := str(&s, f)
	*to = append(*to, s)
	return err
}

func blob(to *[]byte, f field) error {
	if f.typ != protowire.BytesType {
		return wrongType("bytes", f)
	}
	*to = f.bytes
	if f.bytes == nil {
		*to = []byte{}
	}
	return nil
}

func integer[T int32 | int64 | AttrType](to *T, f field) error {
	if f.typ != protowire.VarintType {
		return wrongType("integer", f)
	}
	*to = T(f.value)
	return nil
}

// varints appends one or a packed run.
func varints[T int32 | int64 | uint64](to *[]T, f field) error {
	switch f.typ {
	case protowire.VarintType:
		*to = append(*to, T(f.value))
		return nil
	case protowire.BytesType:
		for b := f.bytes; len(b) > 0; {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return fmt.Errorf("%w: packed field %d: %w", ErrFormat, f.num, protowire.ParseError(n))
			}
			*to = append(*to, T(v))
			b = b[n:]
		}
		return nil
	}
	return wrongType("integers", f)
}

func floats(to *[]float32, f field) error {
	switch f.typ {
	case protowire.Fixed32Type:
		*to = append(*to, math.Float32frombits(uint32(f.value)))
		return nil
	case protowire.BytesType:
		for b := f.bytes; len(b) > 0; {
			v, n := protowire.ConsumeFixed32(b)
			if n < 0 {
				return fmt.Errorf("%w: packed field %d: %w", ErrFormat, f.num, protowire.ParseError(n))
			}
			*to = append(*to, math.Float32frombits(v))
			b = b[n:]
		}
		return nil
	}
	return wrongType("floats", f)
}

func doubles(to *[]float64, f field) error {
	switch f.typ {
	case protowire.Fixed64Type:
		*to = append(*to, math.Float64frombits(f.value))
		return nil
	case protowire.BytesType:
		for b := f.bytes; len(b) > 0; {
			v, n := protowire.ConsumeFixed64(b)
			if n < 0 {
				return fmt.Errorf("%w: packed field %d: %w", ErrFormat, f.num, protowire.ParseError(n))
			}
			*to = append(*to, math.Float64frombits(v))
			b = b[n:]
		}
		return nil
	}
	return wrongType("doubles", f)
}

// sub decodes an embedded message.
func (d *decoder) sub(name string, f field, each func(field) error) error {
	if f.typ != protowire.BytesType {
		return wrongType(name, f)
	}
	return d.message(name, f.bytes, f.at, each)
}

func (d *decoder) model(m *Model, f field) error {
	switch f.num {
	case 1:
		return integer(&m.IRVersion, f)
	case 2:
		return str(&m.ProducerName, f)
	case 3:
		return str(&m.ProducerVersion, f)
	case 4:
		return str(&m.Domain, f)
	case 7:
		if m.Graph == nil {
			m.Graph = &Graph{}
		}
		return d.graph(m.Graph, f)
	case 8:
		return d.opsets(&m.Opsets, f)
	case 14:
		return d.entry(&m.Metadata, f)
	case 25:
		m.Functions = append(m.Functions, Function{})
		fn := &m.Functions[len(m.Functions)-1]
		return d.sub("FunctionProto", f, func(f field) error { return d.function(fn, f) })
	}
	return nil
}

func (d *decoder) opsets(to *[]Opset, f field) error {
	var o Opset
	err := d.sub("OperatorSetIdProto", f, func(f field) error {
		switch f.num {
		case 1:
			return str(&o.Domain, f)
		case 2:
			return integer(&o.Version, f)
		}
		return nil
	})
	*to = append(*to, o)
	return err
}

func (d *decoder) entry(to *[]Entry, f field) error {
	var e Entry
	err := d.sub("StringStringEntryProto", f, func(f field) error {
		switch f.num {
		case 1:
			return str(&e.Key, f)
		case 2:
			return str(&e.Value, f)
		}
		return nil
	})
	*to = append(*to, e)
	return err
}

func (d *decoder) graph(g *Graph, f field) error {
	return d.sub("GraphProto", f, func(f field) error {
		switch f.num {
		case 1:
			return d.node(&g.Nodes, f)
		case 2:
			return str(&g.Name, f)
		case 5:
			if f.typ != protowire.BytesType {
				return wrongType("TensorProto", f)
			}
			g.Initializers = append(g.Initializers, Tensor{})
			return d.tensor(&g.Initializers[len(g.Initializers)-1], f.bytes, f.at)
		case 11:
			return d.valueInfo(&g.Inputs, f)
		case 12:
			return d.valueInfo(&g.Outputs, f)
		case 13:
			return d.valueInfo(&g.ValueInfo, f)
		case 15:
			g.Sparse++
		}
		return nil
	})
}

func (d *decoder) node(to *[]Node, f field) error {
	var n Node
	err := d.sub("NodeProto", f, func(f field) error {
		switch f.num {
		case 1:
			return strs(&n.Inputs, f)
		case 2:
			return strs(&n.Outputs, f)
		case 3:
			return str(&n.Name, f)
		case 4:
			return str(&n.OpType, f)
		case 5:
			return d.attribute(&n.Attrs, f)
		case 7:
			return str(&n.Domain, f)
		case 8:
			return str(&n.Overload, f)
		}
		return nil
	})
	*to = append(*to, n)
	return err
}

func (d *decoder) attribute(to *[]Attribute, f field) error {
	var a Attribute
	err := d.sub("AttributeProto", f, func(f field) error {
		switch f.num {
		case 1:
			return str(&a.Name, f)
		case 2:
			if f.typ != protowire.Fixed32Type {
				return wrongType("float", f)
			}
			a.Float = math.Float32frombits(uint32(f.value))
		case 3:
			return integer(&a.Int, f)
		case 4:
			return blob(&a.Str, f)
		case 5:
			if f.typ != protowire.BytesType {
				return wrongType("TensorProto", f)
			}
			if a.Tensor == nil {
				a.Tensor = &Tensor{}
			}
			return d.tensor(a.Tensor, f.bytes, f.at)
		case 6:
			if a.Graph == nil {
				a.Graph = &Graph{}
			}
			return d.graph(a.Graph, f)
		case 7:
			return floats(&a.Floats, f)
		case 8:
			return varints(&a.Ints, f)
		case 9:
			var s []byte
			err := blob(&s, f)
			a.Strings = append(a.Strings, s)
			return err
		case 20:
			return integer(&a.Type, f)
		case 21:
			return str(&a.Ref, f)
		}
		return nil
	})
	*to = append(*to, a)
	return err
}

func (d *decoder) tensor(t *Tensor, b []byte, at int64) error {
	return d.message("TensorProto", b, at, func(f field) error {
		switch f.num {
		case 1:
			return varints(&t.Dims, f)
		case 2:
			return integer(&t.DataType, f)
		case 3:
			return fmt.Errorf("%w: a tensor in segments is not supported", ErrFormat)
		case 4:
			return floats(&t.Floats, f)
		case 5:
			return varints(&t.Int32s, f)
		case 6:
			var s []byte
			err := blob(&s, f)
			t.Strings = append(t.Strings, s)
			return err
		case 7:
			return varints(&t.Int64s, f)
		case 8:
			return str(&t.Name, f)
		case 9:
			t.Offset = f.at
			return blob(&t.Raw, f)
		case 10:
			return doubles(&t.Doubles, f)
		case 11:
			return varints(&t.Uint64s, f)
		case 13:
			return d.entry(&t.External, f)
		case 14:
			t.IsExtern = f.typ == protowire.VarintType && f.value == 1
		}
		return nil
	})
}

func (d *decoder) valueInfo(to *[]ValueInfo, f field) error {
	var v ValueInfo
	err := d.sub("ValueInfoProto", f, func(f field) error {
		switch f.num {
		case 1:
			return str(&v.Name, f)
		case 2:
			return d.sub("TypeProto", f, func(f field) error { return d.typ(&v, f) })
		}
		return nil
	})
	*to = append(*to, v)
	return err
}

func (d *decoder) typ(v *ValueInfo, f field) error {
	switch f.num {
	case 1:
		v.HasType, v.Kind = true, ""
		return d.sub("TypeProto.Tensor", f, func(f field) error {
			switch f.num {
			case 1:
				return integer(&v.ElemType, f)
			case 2:
				v.HasShape = true
				return d.sub("TensorShapeProto", f, func(f field) error {
					if f.num == 1 {
						return d.dimension(&v.Shape, f)
					}
					return nil
				})
			}
			return nil
		})
	case 4:
		v.Kind = "a sequence"
	case 5:
		v.Kind = "a map"
	case 8:
		v.Kind = "a sparse tensor"
	case 9:
		v.Kind = "an optional"
	}
	return nil
}

func (d *decoder) dimension(to *[]Dimension, f field) error {
	var x Dimension
	err := d.sub("TensorShapeProto.Dimension", f, func(f field) error {
		switch f.num {
		case 1:
			x.HasValue = true
			return integer(&x.Value, f)
		case 2:
			return str(&x.Param, f)
		}
		return nil
	})
	*to = append(*to, x)
	return err
}

func (d *decoder) function(fn *Function, f field) error {
	switch f.num {
	case 1:
		return str(&fn.Name, f)
	case 4:
		return strs(&fn.Inputs, f)
	case 5:
		return strs(&fn.Outputs, f)
	case 6:
		return strs(&fn.Attrs, f)
	case 7:
		return d.node(&fn.Nodes, f)
	case 9:
		return d.opsets(&fn.Opsets, f)
	case 10:
		return str(&fn.Domain, f)
	case 11:
		return d.attribute(&fn.AttrDefaults, f)
	case 13:
		return str(&fn.Overload, f)
	}
	return nil
}
