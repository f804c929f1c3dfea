package graph

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Verify checks everything that the rest of heddle relies on: ids in range,
// nodes in order and values numbered in the order of their definition, unique
// names, declared symbols, well-formed attributes, types equal to what the
// operators infer, weights that match their types and lie inside their
// sources, states threaded linearly. It returns an *Error naming the first
// node or value at fault. The graph may come from a hostile file.
func Verify(g *Graph, s Schemas) error {
	v := &verifier{g: g, s: s, sizes: map[string]int64{}, dims: map[string]bool{}}
	for _, step := range []func() error{v.symbols, v.sources, v.values, v.nodes, v.ports, v.states} {
		if err := step(); err != nil {
			var ge *Error
			if errors.As(err, &ge) {
				return err
			}
			return &Error{Graph: g.Name, Err: err}
		}
	}
	return nil
}

// Limits on what a graph may claim; real models stay far below.
const (
	maxName    = 4096 // bytes
	maxSymbols = 256
	maxSources = 4096
)

type verifier struct {
	g     *Graph
	s     Schemas
	sizes map[string]int64 // of sources
	dims  map[string]bool  // texts of symbolic dimensions that have been checked
}

// longName is for names whose length alone is at fault.
func longName(what, s string) error {
	return fmt.Errorf("the name of %s, %q..., has %d bytes; at most %d", what, s[:32], len(s), maxName)
}

func (v *verifier) valueErr(id ValueID, err error) error {
	return &Error{Graph: v.g.Name, Value: v.g.Values[id].Name, Err: err}
}

func (v *verifier) nodeErr(id NodeID, format string, args ...any) error {
	n := &v.g.Nodes[id]
	return &Error{Graph: v.g.Name, Node: nodeLabel(id, n.Name), Op: n.Op.String(), Err: fmt.Errorf(format, args...)}
}

func (v *verifier) symbols() error {
	if len(v.g.Name) > maxName {
		return longName("the graph", v.g.Name)
	}
	if n := len(v.g.Symbols); n > maxSymbols {
		return fmt.Errorf("%d symbols; at most %d", n, maxSymbols)
	}
	seen := map[string]bool{}
	for _, s := range v.g.Symbols {
		if err := s.Valid(); err != nil {
			return err
		}
		if seen[s.Name] {
			return fmt.Errorf("symbol %q is declared twice", s.Name)
		}
		seen[s.Name] = true
	}
	return nil
}

func (v *verifier) sources() error {
	if n := len(v.g.Sources); n > maxSources {
		return fmt.Errorf("%d sources; at most %d", n, maxSources)
	}
	for _, s := range v.g.Sources {
		if _, twice := v.sizes[s.Name]; twice || s.Name == "" || s.Size < 0 {
			return fmt.Errorf("source %q is unnamed, declared twice or of negative size", s.Name)
		}
		v.sizes[s.Name] = s.Size
	}
	return nil
}

func (v *verifier) values() error {
	names := make(map[string]bool, len(v.g.Values))
	for id := range v.g.Values {
		x := &v.g.Values[id]
		if x.Name == "" || names[x.Name] {
			return v.valueErr(ValueID(id), errors.New("the name is empty or taken"))
		}
		if len(x.Name) > maxName {
			return longName("a value", x.Name)
		}
		names[x.Name] = true
		if err := v.typ(x.Type); err != nil {
			return v.valueErr(ValueID(id), err)
		}
		if x.Type.Enc != (enc.Encoding{}) && x.Kind != Const && x.Kind != StateIn && x.Kind != Result {
			return v.valueErr(ValueID(id), fmt.Errorf("an input cannot have encoding %s; quantize with QuantizeLinear", x.Type.Enc))
		}
		switch x.Kind {
		case Const:
			if x.Data == nil || x.Def != -1 {
				return v.valueErr(ValueID(id), errors.New("a constant needs data and no node"))
			}
			if err := v.weight(x); err != nil {
				return v.valueErr(ValueID(id), err)
			}
		case Input, StateIn:
			if x.Data != nil || x.Def != -1 {
				return v.valueErr(ValueID(id), errors.New("an input has neither data nor a node"))
			}
		case Result:
			// That node Def makes it is checked with the nodes.
			if x.Data != nil {
				return v.valueErr(ValueID(id), errors.New("a result has no data"))
			}
		default:
			return v.valueErr(ValueID(id), fmt.Errorf("unknown kind %d", x.Kind))
		}
	}
	return nil
}

func (v *verifier) typ(t Type) error {
	if len(t.Shape) > MaxRank {
		return fmt.Errorf("rank %d; at most %d dimensions", len(t.Shape), MaxRank)
	}
	if err := t.Enc.Valid(t.Elem, t.Shape); err != nil {
		return err
	}
	for _, d := range t.Shape {
		hi, err := v.dim(d)
		if err != nil {
			return err
		}
		if hi < 0 {
			return fmt.Errorf("dimension %s is negative", d)
		}
	}
	return nil
}

// dim checks one dimension and returns its upper bound.
func (v *verifier) dim(d dim.Dim) (int64, error) {
	if n, ok := d.Const(); ok {
		return n, nil
	}
	_, hi, err := d.Bounds(v.g.Symbols)
	if err != nil {
		return 0, err
	}
	if s := d.String(); !v.dims[s] {
		// The forms of a graph hold expressions as text.
		if back, err := dim.Parse(s); err != nil || !back.Equal(d) {
			return 0, fmt.Errorf("dimension %.64s... is too complex", s)
		}
		v.dims[s] = true
	}
	return hi, nil
}

func (v *verifier) weight(x *Value) error {
	w := x.Data
	if w.Dims != nil {
		if w.Parts != nil || w.Perm != nil || w.Axis != 0 {
			return errors.New("symbolic integers have no parts")
		}
		shape, ok := x.Type.Shape.Const()
		n, err := dim.Count(shape)
		if !ok || err != nil || len(shape) > 1 || n != int64(len(w.Dims)) || x.Type.Elem != enc.I64 || x.Type.Enc != (enc.Encoding{}) {
			return fmt.Errorf("%d symbolic integers cannot have type %s", len(w.Dims), x.Type)
		}
		for _, d := range w.Dims {
			if _, err := v.dim(d); err != nil {
				return err
			}
		}
		return nil
	}
	if w.Axis < 0 || w.Axis >= MaxRank {
		return fmt.Errorf("axis %d is not a dimension", w.Axis)
	}
	shape, ok := x.Type.Shape.Const()
	if !ok {
		return fmt.Errorf("a weight needs a constant shape, not %s", x.Type.Shape)
	}
	got, err := w.shape()
	if err != nil {
		return err
	}
	if !slices.Equal(got, shape) {
		return fmt.Errorf("its parts have shape %v, its type is %s", got, x.Type)
	}
	for i := range w.Parts {
		if err := v.part(&w.Parts[i]); err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
		if p := &w.Parts[i]; x.Type.Elem.IsFloat() != p.Elem.IsFloat() || !x.Type.Elem.IsFloat() && p.Elem != x.Type.Elem {
			return fmt.Errorf("part %d stores %s, which cannot be read as %s", i, p.Elem, x.Type.Elem)
		}
	}
	return nil
}

// shape returns the logical shape of the weight.
func (w *Weight) shape() ([]int64, error) {
	if len(w.Parts) == 0 {
		return nil, errors.New("the weight has no parts")
	}
	out := slices.Clone(w.Parts[0].Box())
	for i := range w.Parts[1:] {
		box := w.Parts[i+1].Box()
		if len(box) != len(out) || w.Axis < 0 || w.Axis >= len(out) {
			return nil, fmt.Errorf("parts cannot be joined along axis %d", w.Axis)
		}
		for a := range box {
			if a == w.Axis {
				if box[a] < 0 || out[a] > 1<<62-box[a] {
					return nil, errors.New("the joined parts have no size")
				}
				out[a] += box[a]
			} else if box[a] != out[a] {
				return nil, fmt.Errorf("part %d has shape %v, part 0 %v: they differ outside of axis %d", i+1, box, w.Parts[0].Box(), w.Axis)
			}
		}
	}
	if w.Perm == nil {
		return out, nil
	}
	if !IsPerm(w.Perm, len(out)) {
		return nil, fmt.Errorf("%v is not a permutation of %d dimensions", w.Perm, len(out))
	}
	p := make([]int64, len(out))
	for i, a := range w.Perm {
		p[i] = out[a]
	}
	return p, nil
}

// IsPerm reports whether p is a permutation of 0..n-1.
func IsPerm(p []int, n int) bool {
	if len(p) != n {
		return false
	}
	seen := make([]bool, n)
	for _, a := range p {
		if a < 0 || a >= n || seen[a] {
			return false
		}
		seen[a] = true
	}
	return true
}

// layout returns the storage of the whole part, or why it has none or its
// slice is not inside of it.
func (p *Part) layout() (enc.Layout, error) {
	if len(p.Shape) > MaxRank {
		return enc.Layout{}, fmt.Errorf("rank %d; at most %d dimensions", len(p.Shape), MaxRank)
	}
	if p.Enc.Kind == enc.Plain && p.Enc.Store != enc.Invalid {
		return enc.Layout{}, errors.New("a stored tensor has its own element type, not as(...)")
	}
	if (p.Start == nil) != (p.Size == nil) || p.Start != nil && (len(p.Start) != len(p.Shape) || len(p.Size) != len(p.Shape)) {
		return enc.Layout{}, errors.New("a slice needs a start and a size for each dimension")
	}
	for a := range p.Start {
		if p.Start[a] < 0 || p.Size[a] < 0 || p.Size[a] > p.Shape[a] || p.Start[a] > p.Shape[a]-p.Size[a] {
			return enc.Layout{}, fmt.Errorf("slice %v+%v is not inside %v", p.Start, p.Size, p.Shape)
		}
	}
	return p.Enc.Layout(p.Elem, p.Shape)
}

func (v *verifier) part(p *Part) error {
	l, err := p.layout()
	if err != nil {
		return err
	}
	if p.Source == "" {
		if p.Offset != 0 || p.ScaleOffset != 0 || p.ZeroOffset != 0 {
			return errors.New("has an offset but no source")
		}
		if p.Inline != nil && int64(len(p.Inline)) != l.Total() {
			return fmt.Errorf("holds %d bytes, needs %d", len(p.Inline), l.Total())
		}
		return nil
	}
	if p.Inline != nil {
		return errors.New("has both a source and bytes of its own")
	}
	size, ok := v.sizes[p.Source]
	if !ok {
		return fmt.Errorf("source %q is not declared", p.Source)
	}
	for _, plane := range []struct{ off, n int64 }{{p.Offset, l.Data}, {p.ScaleOffset, l.Scale}, {p.ZeroOffset, l.Zero}} {
		if plane.off < 0 || size > 0 && plane.n > 0 && (plane.n > size || plane.off > size-plane.n) {
			return fmt.Errorf("bytes %d+%d are not inside source %q of %d bytes", plane.off, plane.n, p.Source, size)
		}
	}
	return nil
}

func (v *verifier) nodes() error {
	made := make([]bool, len(v.g.Values))
	for i := range v.g.Values {
		made[i] = v.g.Values[i].Kind != Result
	}
	last := NoValue // result numbered so far
	for i := range v.g.Nodes {
		id := NodeID(i)
		n := &v.g.Nodes[i]
		if err := n.Op.valid(); err != nil {
			return v.nodeErr(id, "%w", err)
		}
		if len(n.Name) > maxName {
			return v.nodeErr(id, "%w", longName("the node", n.Name))
		}
		if k := len(n.In); k > 0 && n.In[k-1] == NoValue {
			return v.nodeErr(id, "ends with an omitted input: leave it out")
		}
		if k := len(n.Out); k > 0 && n.Out[k-1] == NoValue {
			return v.nodeErr(id, "ends with an output that is not wanted: leave it out")
		}
		highest := NoValue // input
		for k, x := range n.In {
			if x == NoValue {
				continue
			}
			if v.g.Value(x) == nil {
				return v.nodeErr(id, "input %d is value %d, which does not exist", k, x)
			}
			if !made[x] {
				return v.nodeErr(id, "input %d is %q, which is made later", k, v.g.Values[x].Name)
			}
			highest = max(highest, x)
		}
		if err := n.Attrs.valid(); err != nil {
			return v.nodeErr(id, "%w", err)
		}
		for k, x := range n.Out {
			if x == NoValue {
				continue
			}
			if y := v.g.Value(x); y == nil || y.Kind != Result || y.Def != id || made[x] {
				return v.nodeErr(id, "output %d is not a result of this node alone", k)
			}
			if x <= last || x <= highest {
				return v.nodeErr(id, "output %d is value %d: values are numbered in the order of their definition", k, x)
			}
			made[x], last = true, x
		}
		if len(n.Out) == 0 {
			return v.nodeErr(id, "has no output")
		}
		types, err := v.s.Infer(v.g.Call(id))
		if err != nil {
			return v.nodeErr(id, "%w", err)
		}
		if len(types) != len(n.Out) {
			return v.nodeErr(id, "has %d outputs, its operator gives %d", len(n.Out), len(types))
		}
		for k, x := range n.Out {
			if x != NoValue && !v.g.Values[x].Type.Equal(types[k]) {
				return v.nodeErr(id, "output %d is %s, its operator gives %s", k, v.g.Values[x].Type, types[k])
			}
		}
	}
	if i := slices.Index(made, false); i >= 0 {
		return v.valueErr(ValueID(i), errors.New("no node makes it"))
	}
	return nil
}

// valid returns nil, or why the reference has no text form.
func (o OpRef) valid() error {
	ok := o.Name != "" && len(o.Domain)+len(o.Name) <= maxName && o.Version >= 0 && o.Version <= math.MaxInt32
	for i := 0; ok && i < len(o.Name); i++ {
		ok = isNameByte(o.Name[i]) && o.Name[i] != '.'
	}
	for i := 0; ok && i < len(o.Domain); i++ {
		ok = isNameByte(o.Domain[i])
	}
	if !ok {
		return fmt.Errorf("%q of domain %q at version %d cannot be an operator", o.Name, o.Domain, o.Version)
	}
	return nil
}

func (v *verifier) ports() error {
	seen := map[ValueID]bool{}
	last := NoValue
	for _, id := range v.g.Inputs {
		if x := v.g.Value(id); x == nil || x.Kind != Input || id <= last {
			return fmt.Errorf("input list: value %d is not an input, or not in ascending order", id)
		}
		seen[id], last = true, id
	}
	names := map[string]bool{}
	for _, p := range v.g.Outputs {
		if v.g.Value(p.Value) == nil || p.Name == "" || names[p.Name] {
			return fmt.Errorf("output %q has no value, no name or a name that is taken", p.Name)
		}
		if len(p.Name) > maxName {
			return longName("an output", p.Name)
		}
		names[p.Name] = true
	}
	for i := range v.g.Values {
		if v.g.Values[i].Kind == Input && !seen[ValueID(i)] {
			return v.valueErr(ValueID(i), errors.New("is an input that the input list lacks"))
		}
	}
	return nil
}

// states checks that each version is consumed by one update or read any
// number of times, never both: a reader of a version that is overwritten in
// place would see the next one.
func (v *verifier) states() error {
	names := map[string]bool{}
	declared := map[ValueID]bool{}
	for _, s := range v.g.States {
		in, out := v.g.Value(s.In), v.g.Value(s.Out)
		if s.Name == "" || names[s.Name] || in == nil || out == nil || in.Kind != StateIn || declared[s.In] {
			return fmt.Errorf("state %q has no name of its own or no versions", s.Name)
		}
		if !in.Type.Equal(out.Type) {
			return fmt.Errorf("state %q changes its type from %s to %s", s.Name, in.Type, out.Type)
		}
		if len(s.Name) > maxName {
			return longName("a state", s.Name)
		}
		names[s.Name], declared[s.In] = true, true
	}
	for i := range v.g.Values {
		if v.g.Values[i].Kind == StateIn && !declared[ValueID(i)] {
			return v.valueErr(ValueID(i), errors.New("is a state that the state list lacks"))
		}
	}
	of := v.g.StateOf(v.s)
	uses := v.g.Uses()
	for i := range v.g.Nodes {
		n := &v.g.Nodes[i]
		if !v.s.Updates(n.Op) || len(n.In) == 0 || n.In[0] == NoValue || of[n.In[0]] < 0 {
			continue
		}
		if len(n.Out) == 0 || n.Out[0] == NoValue || uses[n.In[0]] != 1 {
			return v.nodeErr(NodeID(i), "updates %q, which is also used elsewhere: a version is updated once or read, not both", v.g.Values[n.In[0]].Name)
		}
	}
	for i, s := range v.g.States {
		if of[s.Out] != i {
			return fmt.Errorf("state %q ends as %q, which is not a version of it", s.Name, v.g.Values[s.Out].Name)
		}
	}
	return nil
}
