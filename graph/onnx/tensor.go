package onnx

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
)

// maxNeeded bounds the bytes of a constant that shapes are computed from.
const maxNeeded = 1 << 20

// ParseTensor reads a file that holds one TensorProto, as ONNX's test data
// does. The tensor may alias b.
func ParseTensor(b []byte) (*graph.Tensor, error) {
	t, err := pb.DecodeTensor(b)
	if err != nil {
		return nil, err
	}
	out, err := tensorOf(t)
	if err != nil {
		return nil, fmt.Errorf("onnx: tensor %q: %w", t.Name, err)
	}
	return out, nil
}

// FormatTensor is the inverse of ParseTensor; name is the tensor's in the file.
func FormatTensor(name string, t *graph.Tensor) ([]byte, error) {
	if err := t.Valid(); err != nil {
		return nil, fmt.Errorf("onnx: tensor %q: %w", name, err)
	}
	return pb.EncodeTensor(tensorProto(name, t)), nil
}

// tensorType returns the element type, shape and bytes of a tensor.
func tensorType(t *pb.Tensor) (enc.Elem, []int64, int64, error) {
	e, err := elemOf(t.DataType)
	if err != nil {
		return 0, nil, 0, err
	}
	if len(t.Dims) > graph.MaxRank {
		return 0, nil, 0, fmt.Errorf("has %d dimensions; at most %d are supported", len(t.Dims), graph.MaxRank)
	}
	n, err := dim.Count(t.Dims)
	if err != nil {
		return 0, nil, 0, err
	}
	size, err := e.Bytes(n)
	return e, t.Dims, size, err
}

// tensorOf returns the value of a tensor that the file itself holds.
func tensorOf(t *pb.Tensor) (*graph.Tensor, error) {
	e, shape, size, err := tensorType(t)
	if err != nil {
		return nil, err
	}
	if t.IsExtern {
		return nil, fmt.Errorf("external data is %w here", ErrUnsupported)
	}
	out := &graph.Tensor{Elem: e, Shape: shape, Data: t.Raw}
	if t.Raw == nil {
		if out.Data, err = typedData(t, e); err != nil {
			return nil, err
		}
	}
	if int64(len(out.Data)) != size {
		return nil, fmt.Errorf("%s%v needs %d bytes, the file has %d: %w", e, shape, size, len(out.Data), ErrFormat)
	}
	return out, nil
}

// typedData returns the bytes of a tensor whose numbers are in one of the
// typed fields, which have few types: narrow integers, booleans and the bits
// of half-precision floats are each an int32, two nibbles are one.
func typedData(t *pb.Tensor, e enc.Elem) ([]byte, error) {
	le := binary.LittleEndian
	out := []byte{}
	switch e {
	case enc.F32:
		for _, v := range t.Floats {
			out = le.AppendUint32(out, math.Float32bits(v))
		}
	case enc.F64:
		for _, v := range t.Doubles {
			out = le.AppendUint64(out, math.Float64bits(v))
		}
	case enc.I64:
		for _, v := range t.Int64s {
			out = le.AppendUint64(out, uint64(v))
		}
	case enc.U64:
		for _, v := range t.Uint64s {
			out = le.AppendUint64(out, v)
		}
	case enc.U32:
		for _, v := range t.Uint64s {
			if v > math.MaxUint32 {
				return nil, fmt.Errorf("%d is no uint32: %w", v, ErrFormat)
			}
			out = le.AppendUint32(out, uint32(v))
		}
	case enc.I32:
		for _, v := range t.Int32s {
			out = le.AppendUint32(out, uint32(v))
		}
	case enc.F16, enc.BF16, enc.I16, enc.U16:
		for _, v := range t.Int32s {
			out = le.AppendUint16(out, uint16(v))
		}
	case enc.Bool:
		for _, v := range t.Int32s {
			out = append(out, byte(min(uint32(v), 1)))
		}
	default: // i8, u8, and packed i4, u4
		for _, v := range t.Int32s {
			out = append(out, byte(v))
		}
	}
	return out, nil
}

// initializer returns the operand for a tensor. A small one, or one that
// shapes are computed from, is held by the graph; others refer to a file if
// there is one.
func (im *importer) initializer(t *pb.Tensor, needed bool) (*operand, error) {
	e, shape, size, err := tensorType(t)
	if err != nil {
		return nil, err
	}
	switch {
	case t.IsExtern:
		return im.external(t, e, shape, size, needed)
	case im.opts.source != "" && t.Raw != nil && size > inlineMax && !needed:
		if int64(len(t.Raw)) != size {
			return nil, fmt.Errorf("%s%v needs %d bytes, the file has %d: %w", e, shape, size, len(t.Raw), ErrFormat)
		}
		im.b.Source(graph.Source{Name: im.opts.source, Size: im.size})
		return named(t.Name, stored(e, shape, im.opts.source, t.Offset)), im.b.Err()
	}
	v, err := tensorOf(t)
	if err != nil {
		return nil, err
	}
	if im.opts.source != "" && t.Raw != nil {
		v.Data = append([]byte{}, v.Data...) // so that the file's bytes can be freed
	}
	return named(t.Name, constant(v)), nil
}

func named(name string, v *operand) *operand {
	v.value.Name = name
	return v
}

// stored returns an operand whose bytes lie in a source.
func stored(e enc.Elem, shape []int64, source string, offset int64) *operand {
	return &operand{id: graph.NoValue, value: graph.Value{
		Kind: graph.Const, Def: -1, Type: graph.OfInts(e, shape...),
		Data: &graph.Weight{Parts: []graph.Part{{Source: source, Offset: offset, Elem: e, Shape: shape}}},
	}}
}

// external returns the operand for a tensor in another file.
func (im *importer) external(t *pb.Tensor, e enc.Elem, shape []int64, size int64, needed bool) (*operand, error) {
	var location string
	var offset int64
	length := size
	for _, x := range t.External {
		var err error
		switch x.Key {
		case "location":
			location = x.Value
		case "offset":
			offset, err = strconv.ParseInt(x.Value, 10, 64)
		case "length":
			length, err = strconv.ParseInt(x.Value, 10, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("external data: %s %q is no number: %w", x.Key, x.Value, ErrFormat)
		}
	}
	if im.opts.External == nil {
		return nil, fmt.Errorf("its data is in %q, outside of the model; set ImportOptions.External, or use ImportFile", location)
	}
	if !fs.ValidPath(location) || location == "." {
		return nil, fmt.Errorf("external data %q is not a path inside the model's folder: %w", location, ErrFormat)
	}
	info, err := fs.Stat(im.opts.External, location)
	if err != nil {
		return nil, fmt.Errorf("external data: %w", err)
	}
	if length != size || offset < 0 || size > info.Size() || offset > info.Size()-size {
		return nil, fmt.Errorf("%s%v needs %d bytes; the model gives %d at %d of %q, which has %d: %w", e, shape, size, length, offset, location, info.Size(), ErrFormat)
	}
	if size > inlineMax && !needed {
		im.b.Source(graph.Source{Name: location, Size: info.Size()})
		return named(t.Name, stored(e, shape, location, offset)), im.b.Err()
	}
	if size > maxNeeded {
		return nil, fmt.Errorf("shapes depend on a constant of %d bytes: %w", size, ErrUnsupported)
	}
	data, err := readAt(im.opts.External, location, offset, size)
	if err != nil {
		return nil, fmt.Errorf("external data: %w", err)
	}
	return named(t.Name, constant(&graph.Tensor{Elem: e, Shape: shape, Data: data})), nil
}

// readAt reads n bytes of a file; n is small and inside of the file.
func readAt(fsys fs.FS, name string, offset, n int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, n)
	var r io.Reader = f
	if at, ok := f.(io.ReaderAt); ok {
		r = io.NewSectionReader(at, offset, n)
	} else if _, err := io.CopyN(io.Discard, f, offset); err != nil {
		return nil, err
	}
	_, err = io.ReadFull(r, buf)
	return buf, err
}
