package enc

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-ml/heddle/graph/dim"
)

// Kind tells how an Encoding stores numbers.
type Kind uint8

const (
	// Plain stores each number by itself, possibly in a narrower type than
	// the logical one (a float32 weight kept as bfloat16).
	Plain Kind = iota
	// Affine stores integer codes; value = scale * (code - zero), with
	// scales (and zeros) per tensor, per index of one axis, or per block
	// along one axis, exactly as ONNX's DequantizeLinear.
	Affine
	// Block stores rows as self-contained blocks in a GGUF format.
	Block
)

// Encoding says how the logical reals of a tensor are stored. The zero value
// is Plain in the logical element type itself. Encodings are comparable.
type Encoding struct {
	Kind Kind
	// Store is the type of the stored numbers: of the elements (Plain;
	// Invalid means the logical type) or of the codes (Affine).
	Store Elem
	// Scale is the type of the scales (Affine): F32, F16 or BF16.
	Scale Elem
	// Axis is the axis scales vary along (Affine), -1 for one per tensor; or
	// the axis blocks run along (Block), which is stored innermost while the
	// other axes keep their order. A matrix of GGUF rows [N,K] seen as the
	// [K,N] operand of MatMul has its blocks along axis 0.
	Axis int
	// BlockLen is the number of elements along Axis that share a scale
	// (Affine); 0 means that each index of Axis has its own.
	BlockLen int
	// HasZero tells that zero points are stored, in type Store (Affine).
	HasZero bool
	// Format is the block format (Block).
	Format Format
}

// As returns the Plain encoding that stores elements as e.
func As(e Elem) Encoding { return Encoding{Store: e} }

// PerTensor, PerChannel and Blocked return Affine encodings with float32
// scales and no zero points.
func PerTensor(code Elem) Encoding {
	return Encoding{Kind: Affine, Store: code, Scale: F32, Axis: -1}
}

// PerChannel gives each index of axis a scale.
func PerChannel(code Elem, axis int) Encoding {
	return Encoding{Kind: Affine, Store: code, Scale: F32, Axis: axis}
}

// Blocked gives each run of n elements along axis a scale.
func Blocked(code Elem, axis, n int) Encoding {
	return Encoding{Kind: Affine, Store: code, Scale: F32, Axis: axis, BlockLen: n}
}

// GGUF returns the encoding in blocks of format f along axis.
func GGUF(f Format, axis int) Encoding { return Encoding{Kind: Block, Format: f, Axis: axis} }

// Format is a GGUF block format. The numbers are GGUF's own.
type Format uint8

// The block formats whose layout is known here. Others can be added without
// touching what refers to these.
const (
	Q4_0  Format = 2
	Q4_1  Format = 3
	Q5_0  Format = 6
	Q5_1  Format = 7
	Q8_0  Format = 8
	Q2_K  Format = 10
	Q3_K  Format = 11
	Q4_K  Format = 12
	Q5_K  Format = 13
	Q6_K  Format = 14
	IQ4NL Format = 20
	IQ4XS Format = 23
)

var formats = map[Format]struct {
	name         string
	elems, bytes int64
}{
	Q4_0: {"Q4_0", 32, 18}, Q4_1: {"Q4_1", 32, 20}, Q5_0: {"Q5_0", 32, 22}, Q5_1: {"Q5_1", 32, 24}, Q8_0: {"Q8_0", 32, 34},
	Q2_K: {"Q2_K", 256, 84}, Q3_K: {"Q3_K", 256, 110}, Q4_K: {"Q4_K", 256, 144}, Q5_K: {"Q5_K", 256, 176}, Q6_K: {"Q6_K", 256, 210},
	IQ4NL: {"IQ4_NL", 32, 18}, IQ4XS: {"IQ4_XS", 256, 136},
}

// Formats returns the known block formats in ascending order.
func Formats() []Format {
	out := make([]Format, 0, len(formats))
	for f := range formats {
		out = append(out, f)
	}
	slices.Sort(out)
	return out
}

// Valid reports whether the layout of f is known.
func (f Format) Valid() bool { _, ok := formats[f]; return ok }

// String returns GGUF's name, such as Q4_0.
func (f Format) String() string {
	if x, ok := formats[f]; ok {
		return x.name
	}
	return fmt.Sprintf("format(%d)", uint8(f))
}

// ParseFormat is the inverse of String.
func ParseFormat(s string) (Format, error) {
	for f, x := range formats {
		if x.name == s {
			return f, nil
		}
	}
	return 0, fmt.Errorf("enc: %q is not a known block format", s)
}

// BlockSize returns the elements and bytes of one block.
func (f Format) BlockSize() (elems, bytes int64) {
	x := formats[f]
	return x.elems, x.bytes
}

// Stored returns the type of the stored numbers for a tensor of logical type
// elem: elem itself, the narrower type, the codes' type, or U8 for blocks.
func (e Encoding) Stored(elem Elem) Elem {
	switch {
	case e.Kind == Block:
		return U8
	case e.Store == Invalid:
		return elem
	}
	return e.Store
}

// Valid returns nil, or what makes e unusable for a tensor of logical type
// elem and the given shape.
func (e Encoding) Valid(elem Elem, shape dim.Shape) error {
	if !elem.Valid() {
		return fmt.Errorf("enc: element type %s is invalid", elem)
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("enc: encoding %s of %s%s: %s", e, elem, shape, fmt.Sprintf(format, args...))
	}
	switch e.Kind {
	case Plain:
		if e != (Encoding{Store: e.Store}) {
			return bad("a plain encoding has no scales, axis or format")
		}
		if e.Store == Invalid || e.Store == elem {
			return nil
		}
		if !e.Store.Valid() || e.Store.IsFloat() != elem.IsFloat() || e.Store == Bool || elem == Bool || e.Store.Bits() > elem.Bits() {
			return bad("cannot be stored as %s", e.Store)
		}
		return nil
	case Affine:
		if !elem.IsFloat() {
			return bad("only floating-point tensors have affine codes")
		}
		if !e.Store.IsInt() || e.Store.Bits() > 32 {
			return bad("codes must be integers of at most 32 bits")
		}
		if e.Scale != F32 && e.Scale != F16 && e.Scale != BF16 {
			return bad("scales must be f32, f16 or bf16")
		}
		if e.Format != 0 {
			return bad("has a block format")
		}
		if e.Axis < -1 || e.Axis >= len(shape) {
			return bad("axis %d is not in the shape", e.Axis)
		}
		if e.BlockLen < 0 || e.BlockLen > math.MaxInt32 || e.BlockLen > 0 && e.Axis < 0 {
			return bad("block length %d needs an axis", e.BlockLen)
		}
		return nil
	case Block:
		if e != (Encoding{Kind: Block, Format: e.Format, Axis: e.Axis}) {
			return bad("a block format has no store or scale of its own")
		}
		if !elem.IsFloat() {
			return bad("only floating-point tensors have block formats")
		}
		if !e.Format.Valid() {
			return bad("unknown block format %d", uint8(e.Format))
		}
		if e.Axis < 0 || e.Axis >= len(shape) {
			return bad("axis %d is not in the shape", e.Axis)
		}
		n, _ := e.Format.BlockSize()
		if row, ok := shape[e.Axis].Const(); ok && row%n != 0 {
			return bad("rows of %d are not whole blocks of %d", row, n)
		}
		return nil
	}
	return bad("unknown kind %d", e.Kind)
}

// Layout is the storage of a tensor: one plane of data, and for Affine a
// plane of scales and one of zero points. Each plane is dense and row-major;
// sizes are in bytes.
type Layout struct {
	Data, Scale, Zero int64
	// ScaleShape is the shape of the scale and zero planes (Affine): empty,
	// [dim of axis], or the tensor's shape with axis divided by BlockLen,
	// rounded up.
	ScaleShape []int64
}

// Total returns the bytes of all planes.
func (l Layout) Total() int64 { return l.Data + l.Scale + l.Zero }

// Layout returns the storage of a tensor with the given logical type and
// shape. A size that leaves the int64 range is an error.
func (e Encoding) Layout(elem Elem, shape []int64) (Layout, error) {
	if err := e.Valid(elem, dim.Ofs(shape...)); err != nil {
		return Layout{}, err
	}
	n, err := dim.Count(shape)
	if err != nil {
		return Layout{}, err
	}
	var l Layout
	switch e.Kind {
	case Block:
		be, bb := e.Format.BlockSize()
		blocks := n / be
		if blocks > (1<<62)/bb {
			return Layout{}, fmt.Errorf("enc: %v as %s has no size", shape, e)
		}
		l.Data = blocks * bb
		return l, nil
	case Affine:
		switch {
		case e.Axis < 0:
		case e.BlockLen == 0:
			l.ScaleShape = []int64{shape[e.Axis]}
		default:
			l.ScaleShape = slices.Clone(shape)
			b := int64(e.BlockLen)
			l.ScaleShape[e.Axis] = shape[e.Axis]/b + min(1, shape[e.Axis]%b)
		}
		m, err := dim.Count(l.ScaleShape)
		if err != nil {
			return Layout{}, err
		}
		if l.Scale, err = e.Scale.Bytes(m); err != nil {
			return Layout{}, err
		}
		if e.HasZero {
			if l.Zero, err = e.Store.Bytes(m); err != nil {
				return Layout{}, err
			}
		}
	}
	l.Data, err = e.Stored(elem).Bytes(n)
	return l, err
}

// String returns the text form: "plain", "as(f16)", "affine(i8,scale=f32)",
// "affine(i4,scale=f16,axis=1,block=32,zero)", "Q4_0(axis=0)".
func (e Encoding) String() string {
	switch e.Kind {
	case Plain:
		if e.Store == Invalid {
			return "plain"
		}
		return "as(" + e.Store.String() + ")"
	case Affine:
		s := "affine(" + e.Store.String() + ",scale=" + e.Scale.String()
		if e.Axis >= 0 {
			s += ",axis=" + strconv.Itoa(e.Axis)
		}
		if e.BlockLen > 0 {
			s += ",block=" + strconv.Itoa(e.BlockLen)
		}
		if e.HasZero {
			s += ",zero"
		}
		return s + ")"
	case Block:
		return e.Format.String() + "(axis=" + strconv.Itoa(e.Axis) + ")"
	}
	return fmt.Sprintf("encoding(%d)", e.Kind)
}

// Parse is the inverse of String.
func Parse(s string) (Encoding, error) {
	name, args, hasArgs := strings.Cut(s, "(")
	if hasArgs {
		var ok bool
		if args, ok = strings.CutSuffix(args, ")"); !ok {
			return Encoding{}, fmt.Errorf("enc: encoding %q: missing )", s)
		}
	}
	switch {
	case s == "plain":
		return Encoding{}, nil
	case name == "as" && hasArgs:
		el, err := ParseElem(args)
		return As(el), err
	case name == "affine" && hasArgs:
		e := Encoding{Kind: Affine, Scale: F32, Axis: -1}
		for i, f := range strings.Split(args, ",") {
			k, v, _ := strings.Cut(f, "=")
			var err error
			switch {
			case i == 0:
				e.Store, err = ParseElem(f)
			case k == "scale":
				e.Scale, err = ParseElem(v)
			case k == "axis":
				e.Axis, err = parseSmall(v, 0)
			case k == "block":
				e.BlockLen, err = parseSmall(v, 1)
			case f == "zero":
				e.HasZero = true
			default:
				err = fmt.Errorf("enc: unknown part %q", f)
			}
			if err != nil {
				return Encoding{}, fmt.Errorf("enc: encoding %q: %w", s, err)
			}
		}
		return e, nil
	case hasArgs:
		f, err := ParseFormat(name)
		axis, isAxis := strings.CutPrefix(args, "axis=")
		if err == nil && isAxis {
			var n int
			n, err = parseSmall(axis, 0)
			return GGUF(f, n), err
		}
	}
	return Encoding{}, fmt.Errorf("enc: %q is not an encoding; want plain, as(TYPE), affine(TYPE,...) or FORMAT(axis=N)", s)
}

func parseSmall(s string, least int) (int, error) {
	n, err := strconv.ParseInt(s, 10, 31)
	if err != nil || int(n) < least {
		return 0, fmt.Errorf("enc: %q is not a number from %d", s, least)
	}
	return int(n), nil
}
