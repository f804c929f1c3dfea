package onnx

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
)

// symbols maps the names of dimensions in the model to expressions.
type symbols struct {
	byParam   map[string]dim.Dim
	described []dim.Symbol // in the model's metadata
	taken     map[string]bool
	list      []dim.Symbol // declared so far
}

// maxParams bounds the different names of dimensions.
const maxParams = 4096

// elemOf maps a TensorProto.DataType.
func elemOf(n int32) (enc.Elem, error) {
	e, err := enc.FromONNX(n)
	if err != nil {
		name := map[int32]string{0: "an undefined type", 8: "string", 14: "complex64", 15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz",
			19: "float8e5m2", 20: "float8e5m2fnuz", 23: "float4e2m1", 24: "float8e8m0", 25: "uint2", 26: "int2"}[n]
		if name == "" {
			name = "data type " + strconv.Itoa(int(n))
		}
		return 0, fmt.Errorf("%s is %w", name, ErrUnsupported)
	}
	return e, nil
}

// declareSymbols makes a symbol of each dimension of an input that has a name
// alone. A name such as "past+chunk" is an expression if each name in it is a
// dimension by itself somewhere; else it is only a name.
func (im *importer) declareSymbols(initializers map[string]bool) error {
	s := &im.symbols
	s.byParam, s.taken = map[string]dim.Dim{}, map[string]bool{}
	seen := map[string]bool{}
	var params []string
	for i := range im.model.Inputs {
		in := &im.model.Inputs[i]
		if initializers[in.Name] {
			continue
		}
		for _, d := range in.Shape {
			if !d.HasValue && d.Param != "" && !seen[d.Param] {
				seen[d.Param] = true
				params = append(params, d.Param)
			}
		}
		if len(params) > maxParams {
			return fmt.Errorf("inputs have more than %d named dimensions: %w", maxParams, ErrFormat)
		}
	}
	declare := func(p, name string) {
		if n, ok := im.opts.Bind[p]; ok {
			s.byParam[p] = dim.Of(n)
		} else {
			s.byParam[p] = im.symbol(name)
		}
	}
	// Symbols that the model describes come first, in their order: they may
	// occur in expressions alone.
	mentioned := map[string]bool{}
	for _, p := range params {
		if d, err := dim.Parse(p); err == nil {
			for _, name := range d.Symbols() {
				mentioned[name] = true
			}
		}
	}
	for _, k := range s.described {
		if mentioned[k.Name] {
			declare(k.Name, k.Name)
		}
	}
	for _, p := range params {
		if _, done := s.byParam[p]; !done && dim.ValidName(p) {
			declare(p, p)
		}
	}
	for _, p := range params {
		if _, done := s.byParam[p]; done {
			continue
		}
		if d, ok := im.expression(p); ok {
			s.byParam[p] = d
			continue
		}
		name := im.freeName(p)
		im.warn("dimension %q cannot be the name of a symbol; it is called %q", p, name)
		declare(p, name)
	}
	return im.b.Err()
}

// expression reads the name of a dimension as an expression of others.
func (im *importer) expression(p string) (dim.Dim, bool) {
	d, err := dim.Parse(p)
	if err != nil {
		return dim.Dim{}, false
	}
	bind := dim.Binding{}
	for _, name := range d.Symbols() {
		v, ok := im.symbols.byParam[name]
		if !ok {
			return dim.Dim{}, false
		}
		if n, ok := v.Const(); ok {
			bind[name] = n
		}
	}
	return d.Subst(bind), true
}

// symbol declares a symbol with the bounds known for it.
func (im *importer) symbol(name string) dim.Dim {
	im.symbols.taken[name] = true
	s := dim.Symbol{Name: name, Min: 1, Max: defaultMax}
	for _, k := range slices.Concat(im.symbols.described, im.opts.Symbols) {
		if k.Name == name {
			s = k // the options' come last and count
		}
	}
	im.symbols.list = append(im.symbols.list, s)
	return im.b.Symbol(s)
}

// freeName turns p into the name of a symbol that is not taken.
func (im *importer) freeName(p string) string {
	var sb strings.Builder
	for i := 0; i < len(p) && sb.Len() < 48; i++ {
		c := p[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		digit := '0' <= c && c <= '9'
		if i == 0 && digit {
			sb.WriteByte('_')
		}
		if !letter && !digit {
			c = '_'
		}
		sb.WriteByte(c)
	}
	base := sb.String()
	if base == "" {
		base = "dim"
	}
	name := base
	for i := 2; im.symbols.taken[name]; i++ {
		name = base + "_" + strconv.Itoa(i)
	}
	return name
}

// inputType returns the type that the model declares for an input.
func (im *importer) inputType(in *pb.ValueInfo) (graph.Type, error) {
	if in.Kind != "" {
		return graph.Type{}, fmt.Errorf("is %s, which is %w; only tensors are", in.Kind, ErrUnsupported)
	}
	if !in.HasType || !in.HasShape {
		return graph.Type{}, errors.New("has no type or no shape; run ONNX shape inference on the model, or give the input's dimensions when exporting it")
	}
	if len(in.Shape) > graph.MaxRank {
		return graph.Type{}, fmt.Errorf("has %d dimensions; at most %d are supported", len(in.Shape), graph.MaxRank)
	}
	e, err := elemOf(in.ElemType)
	if err != nil {
		return graph.Type{}, err
	}
	t := graph.Type{Elem: e}
	for i, d := range in.Shape {
		switch {
		case d.HasValue:
			if d.Value < 0 {
				return graph.Type{}, fmt.Errorf("dimension %d is %d: %w", i, d.Value, ErrFormat)
			}
			t.Shape = append(t.Shape, dim.Of(d.Value))
		case d.Param != "":
			t.Shape = append(t.Shape, im.symbols.byParam[d.Param])
		default:
			name := im.freeName(in.Name + "_" + strconv.Itoa(i))
			im.warn("dimension %d of input %q has no name; it is called %q", i, in.Name, name)
			t.Shape = append(t.Shape, im.symbol(name))
		}
	}
	return t, im.b.Err()
}

// checkDeclared compares a type with what the model declares: element types,
// ranks and dimensions that are constants must agree.
func (im *importer) checkDeclared(v *pb.ValueInfo, t graph.Type) error {
	if v.Kind != "" {
		return fmt.Errorf("is declared as %s, which is %w", v.Kind, ErrUnsupported)
	}
	if !v.HasType || v.ElemType == 0 {
		return nil
	}
	e, err := elemOf(v.ElemType)
	if err != nil {
		return err
	}
	if e != t.Elem {
		return fmt.Errorf("is %s, the model declares %s", t, e)
	}
	if !v.HasShape {
		return nil
	}
	if len(v.Shape) != len(t.Shape) {
		return fmt.Errorf("is %s, the model declares %d dimensions", t, len(v.Shape))
	}
	for i, d := range v.Shape {
		if n, ok := t.Shape[i].Const(); ok && d.HasValue && n != d.Value {
			return fmt.Errorf("is %s, the model declares dimension %d as %d", t, i, d.Value)
		}
	}
	return nil
}
