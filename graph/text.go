package graph

import (
	"encoding/base64"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// The text form has one statement per line, in the order in which values are
// numbered. # starts a comment. Names are written bare where they consist of
// letters, digits and _ . / and as quoted strings otherwise.
//
//	graph "vision" v1
//	symbol tiles 1..16 buckets [1, 4, 16]
//	source "model.safetensors" size 677376 id "sha256:5f1c"
//	input %pixels: f32[tiles,3,384,384]
//	weight %patch.w: f32[1152,3,14,14] as(bf16) = "model.safetensors"[4096] bf16[1152,3,14,14]
//	weight %qkv: f32[64,192] = "a"[0] f32[64,64] ++ "a"[16384] f32[256,64] slice[0:128, 0:64] axis 0 perm [1, 0]
//	weight %codes: f32[64,64] affine(i8,scale=f32) = "a"[0, scale 4096] f32[64,64] affine(i8,scale=f32)
//	weight %planned: f32[8] = none f32[8]
//	const %eps: f32[] = [1e-06]
//	const %table: u8[4096] = base64"AAEC..."
//	dims %shape: i64[3] = [tiles, 729, 1152]
//	state %kv: f32[1,2,128,16]
//	%x = Conv@22(%pixels, %patch.w, _) {strides = [14, 14]}: f32[tiles,1152,27,27] @"embed"
//	_, %b = Split@18(%x) {num_outputs = 2}: f32[tiles,576,27,27]
//	output "features" = %x
//	final "kv" = %kv -> %next
//
// A _ stands for an omitted input or an unused output. Attribute values show
// their kind: 3 is an integer, 3.0 a float, "s" a string, f32 an element
// type, i64[2] [1, 2] a tensor, [..] a list (ints[], floats[] and strings[]
// when empty). Floats are the shortest decimals that read back exactly; a NaN
// with unusual bits is nan(0x7fc00001).
const textVersion = 1

// maxListed is the number of elements up to which a constant is written as
// decimals; longer ones are base64.
const maxListed = 32

// Print writes the text form of g, which Parse reads back to an equal graph.
// A graph that Verify accepts always prints; for another the first thing that
// has no text form is the error.
func Print(w io.Writer, g *Graph) error {
	p := printer{g: g}
	p.graph()
	if p.err != nil {
		return &Error{Graph: g.Name, Err: p.err}
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

// String returns the text form, for people: a malformed graph prints as far
// as it can, with a comment that says what is wrong.
func (g *Graph) String() string {
	p := printer{g: g}
	p.graph()
	if p.err != nil {
		p.f("# %v\n", p.err)
	}
	return p.b.String()
}

type printer struct {
	g   *Graph
	b   strings.Builder
	err error
}

func (p *printer) f(format string, args ...any) { fmt.Fprintf(&p.b, format, args...) }

func (p *printer) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

func (p *printer) graph() {
	g := p.g
	p.f("graph %q v%d\n", g.Name, textVersion)
	for _, s := range g.Symbols {
		p.f("symbol %s %d..%d", s.Name, s.Min, s.Max)
		if len(s.Buckets) > 0 {
			p.f(" buckets %s", ints(s.Buckets))
		}
		p.b.WriteByte('\n')
	}
	for _, s := range g.Sources {
		p.f("source %q", s.Name)
		if s.Size != 0 {
			p.f(" size %d", s.Size)
		}
		if s.ID != "" {
			p.f(" id %q", s.ID)
		}
		p.b.WriteByte('\n')
	}
	printed := 0 // nodes
	for id := range g.Values {
		v := &g.Values[id]
		switch v.Kind {
		case Input:
			p.f("input %s: %s\n", name(v.Name), v.Type)
		case StateIn:
			p.f("state %s: %s\n", name(v.Name), v.Type)
		case Const:
			p.constant(v)
		case Result:
			for ; printed < len(g.Nodes) && printed <= int(v.Def); printed++ {
				p.node(&g.Nodes[printed])
			}
		default:
			p.fail("value %q has kind %d", v.Name, v.Kind)
		}
	}
	for ; printed < len(g.Nodes); printed++ {
		p.node(&g.Nodes[printed])
	}
	for _, o := range g.Outputs {
		p.f("output %q = %s\n", o.Name, p.ref(o.Value))
	}
	for _, s := range g.States {
		p.f("final %q = %s -> %s\n", s.Name, p.ref(s.In), p.ref(s.Out))
	}
}

// ref returns the text of a reference to a value.
func (p *printer) ref(id ValueID) string {
	if id == NoValue {
		return "_"
	}
	v := p.g.Value(id)
	if v == nil {
		p.fail("value %d does not exist", id)
		return fmt.Sprintf("%%?%d", id)
	}
	return name(v.Name)
}

func (p *printer) node(n *Node) {
	var types []string
	for i, id := range n.Out {
		if i > 0 {
			p.b.WriteString(", ")
		}
		p.b.WriteString(p.ref(id))
		if v := p.g.Value(id); v != nil {
			types = append(types, v.Type.String())
		}
	}
	in := make([]string, len(n.In))
	for i, id := range n.In {
		in[i] = p.ref(id)
	}
	p.f(" = %s@%d(%s)", n.Op, n.Op.Version, strings.Join(in, ", "))
	for i := range n.Attrs {
		p.b.WriteString([]string{" {", ", "}[min(i, 1)])
		p.f("%s = ", bare(n.Attrs[i].Name))
		p.attr(&n.Attrs[i])
	}
	if len(n.Attrs) > 0 {
		p.b.WriteByte('}')
	}
	p.f(": %s", strings.Join(types, ", "))
	if n.Name != "" {
		p.f(" @%q", n.Name)
	}
	p.b.WriteByte('\n')
}

func (p *printer) attr(a *Attr) {
	switch a.Kind {
	case AttrInt:
		p.f("%d", a.Int)
	case AttrFloat:
		p.b.WriteString(float(a.Float))
	case AttrString:
		p.f("%q", a.Str)
	case AttrInts:
		if len(a.Ints) == 0 {
			p.b.WriteString("ints[]")
			return
		}
		p.b.WriteString(ints(a.Ints))
	case AttrFloats:
		if len(a.Floats) == 0 {
			p.b.WriteString("floats[]")
			return
		}
		p.b.WriteString(list(a.Floats, float))
	case AttrStrings:
		if len(a.Strings) == 0 {
			p.b.WriteString("strings[]")
			return
		}
		p.b.WriteString(list(a.Strings, strconv.Quote))
	case AttrElem:
		p.b.WriteString(a.Elem.String())
	case AttrTensor:
		if a.Tensor == nil {
			p.fail("attribute %q has no tensor", a.Name)
			return
		}
		p.f("%s %s", a.Tensor.Type(), literal(a.Tensor))
	default:
		p.fail("attribute %q has kind %d", a.Name, a.Kind)
	}
}

func (p *printer) constant(v *Value) {
	if v.Data == nil {
		p.fail("constant %q has no data", v.Name)
		return
	}
	w := v.Data
	if w.Dims != nil {
		p.f("dims %s: %s = %s\n", name(v.Name), v.Type, list(w.Dims, dim.Dim.String))
		return
	}
	if t, ok := v.Const(); ok && w.Axis == 0 {
		p.f("const %s: %s = %s\n", name(v.Name), v.Type, literal(t))
		return
	}
	p.f("weight %s: %s = ", name(v.Name), v.Type)
	for i := range w.Parts {
		if i > 0 {
			p.b.WriteString(" ++ ")
		}
		p.part(&w.Parts[i])
	}
	if len(w.Parts) > 1 || w.Axis != 0 {
		p.f(" axis %d", w.Axis)
	}
	if w.Perm != nil {
		p.f(" perm %s", list(w.Perm, strconv.Itoa))
	}
	p.b.WriteByte('\n')
}

func (p *printer) part(x *Part) {
	switch {
	case x.Source != "":
		p.f("%q[%d", x.Source, x.Offset)
		if x.ScaleOffset != 0 {
			p.f(", scale %d", x.ScaleOffset)
		}
		if x.ZeroOffset != 0 {
			p.f(", zero %d", x.ZeroOffset)
		}
		p.b.WriteByte(']')
	case x.Inline != nil && x.Enc == (enc.Encoding{}):
		p.b.WriteString(literal(&Tensor{Elem: x.Elem, Shape: x.Shape, Data: x.Inline}))
	case x.Inline != nil:
		p.b.WriteString(bytesLiteral(x.Inline))
	default:
		p.b.WriteString("none")
	}
	p.f(" %s", Type{Elem: x.Elem, Shape: dim.Ofs(x.Shape...), Enc: x.Enc})
	if x.Start == nil {
		return
	}
	if len(x.Size) != len(x.Start) {
		p.fail("a slice has %d starts and %d sizes", len(x.Start), len(x.Size))
		return
	}
	p.b.WriteString(" slice[")
	for i := range x.Start {
		if i > 0 {
			p.b.WriteString(", ")
		}
		p.f("%d:%d", x.Start[i], x.Start[i]+x.Size[i])
	}
	p.b.WriteByte(']')
}

func name(s string) string { return "%" + bare(s) }

// bare returns s, quoted unless it can do without.
func bare(s string) string {
	for i := 0; i < len(s); i++ {
		if !isNameByte(s[i]) {
			return strconv.Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}

func isNameByte(c byte) bool {
	return c == '_' || c == '.' || c == '/' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func list[T any](xs []T, f func(T) string) string {
	ss := make([]string, len(xs))
	for i, x := range xs {
		ss[i] = f(x)
	}
	return "[" + strings.Join(ss, ", ") + "]"
}

func ints(ns []int64) string {
	return list(ns, func(n int64) string { return strconv.FormatInt(n, 10) })
}

// quietNaN is the bit pattern that "nan" stands for.
const quietNaN = 0x7fc00000

// float returns a float32 so that it reads back bit for bit and cannot be
// taken for an integer.
func float(f float32) string {
	switch {
	case f != f:
		if b := math.Float32bits(f); b != quietNaN {
			return fmt.Sprintf("nan(0x%08x)", b)
		}
		return "nan"
	case math.IsInf(float64(f), 1):
		return "inf"
	case math.IsInf(float64(f), -1):
		return "-inf"
	}
	s := strconv.FormatFloat(float64(f), 'g', -1, 32)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// literal returns plain elements as a list of decimals where they are few and
// the list says everything, else as bytes.
func literal(t *Tensor) string {
	n, err := dim.Count(t.Shape)
	if err == nil && n <= maxListed && t.Valid() == nil {
		ss := make([]string, n)
		for i := range ss {
			ss[i] = elemString(t.Elem, t.Data, i)
		}
		// The odd NaN, a bool that is neither 0 nor 1 and a padding nibble
		// that is not 0 have no decimals.
		if back, err := parseElems(t.Elem, ss); err == nil && string(back) == string(t.Data) {
			return "[" + strings.Join(ss, ", ") + "]"
		}
	}
	return bytesLiteral(t.Data)
}

func bytesLiteral(data []byte) string {
	return `base64"` + base64.StdEncoding.EncodeToString(data) + `"`
}

// elemString returns element i of plain data in decimals.
func elemString(e enc.Elem, data []byte, i int) string {
	var u uint64
	if e.Bits() == 4 {
		u = uint64(data[i/2] >> (i % 2 * 4) & 15)
	} else {
		for k, n := 0, e.Bits()/8; k < n; k++ {
			u |= uint64(data[i*n+k]) << (8 * k)
		}
	}
	short := func(f float64, bits int) string {
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, bits), "+"))
	}
	switch e {
	case enc.F64:
		return short(math.Float64frombits(u), 64)
	case enc.F32:
		return short(float64(math.Float32frombits(uint32(u))), 32)
	case enc.F16:
		return short(float64(enc.F16ToF32(uint16(u))), 32)
	case enc.BF16:
		return short(float64(enc.BF16ToF32(uint16(u))), 32)
	}
	if e.IsSigned() {
		shift := 64 - e.Bits()
		return strconv.FormatInt(int64(u)<<shift>>shift, 10)
	}
	return strconv.FormatUint(u, 10)
}

// floatBits is the precision that decimals are read in. The half-precision
// types are rounded to once, from float64.
func floatBits(e enc.Elem) int {
	if e == enc.F32 {
		return 32
	}
	return 64
}

// parseElems is the inverse of elemString for a whole tensor.
func parseElems(e enc.Elem, ss []string) ([]byte, error) {
	size, err := e.Bytes(int64(len(ss)))
	if err != nil {
		return nil, err
	}
	out := make([]byte, size)
	for i, s := range ss {
		var u uint64
		var err error
		switch {
		case e.IsFloat():
			var f float64
			if f, err = strconv.ParseFloat(s, floatBits(e)); err != nil {
				return nil, fmt.Errorf("%q is not a number of type %s", s, e)
			}
			switch e {
			case enc.F64:
				u = math.Float64bits(f)
			case enc.F32:
				u = uint64(math.Float32bits(float32(f)))
			case enc.F16:
				u = uint64(enc.F64ToF16(f))
			default:
				u = uint64(enc.F64ToBF16(f))
			}
		case e == enc.Bool:
			u, err = strconv.ParseUint(s, 10, 1)
		case e.IsSigned():
			var n int64
			n, err = strconv.ParseInt(s, 10, e.Bits())
			u = uint64(n)
		default:
			u, err = strconv.ParseUint(s, 10, e.Bits())
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a number of type %s", s, e)
		}
		if e.Bits() == 4 {
			out[i/2] |= byte(u&15) << (i % 2 * 4)
			continue
		}
		for k, n := 0, e.Bits()/8; k < n; k++ {
			out[i*n+k] = byte(u >> (8 * k))
		}
	}
	return out, nil
}
