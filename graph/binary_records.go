package graph

import (
	"math"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// The records of the binary form, one function each, for reading and writing:
// x.F = r.kind(x.F) leaves x.F alone when writing. binary.go documents them.

const (
	flagDims   = 1 // of a value
	flagPerm   = 2
	flagInline = 1 // of a part
	flagSlice  = 2
)

// graph carries g; head is the name in the header.
func (c *codec) graph(head rec, g *Graph) {
	g.Name = head.str(g.Name)
	g.Symbols = all(c, secSymbols, g.Symbols, symbolRecord)
	if !c.reading {
		c.sources = map[string]int32{}
		for i, s := range g.Sources {
			c.sources[s.Name] = int32(i)
		}
	}
	g.Sources = all(c, secSources, g.Sources, sourceRecord)
	g.Values = all(c, secValues, g.Values, valueRecord)
	g.Nodes = all(c, secNodes, g.Nodes, nodeRecord)
	g.Inputs = all(c, secInputs, g.Inputs, idRecord)
	g.Outputs = all(c, secOutputs, g.Outputs, func(r rec, p *Port) {
		p.Name = r.str(p.Name)
		idRecord(r, &p.Value)
		r.pad(4)
	})
	g.States = all(c, secStates, g.States, func(r rec, s *State) {
		s.Name = r.str(s.Name)
		idRecord(r, &s.In)
		idRecord(r, &s.Out)
	})
}

func idRecord(r rec, id *ValueID)        { *id = ValueID(int32(r.u32(uint32(*id)))) }
func intRecord(r rec, n *int64)          { *n = r.i64(*n) }
func strRecord(r rec, s *string)         { *s = r.str(*s) }
func floatRecord(r rec, f *float32)      { *f = math.Float32frombits(r.u32(math.Float32bits(*f))) }
func (r rec) ints(ns []int64) []int64    { return listOf(r, secInts, ns, intRecord) }
func (r rec) dims(d []dim.Dim) []dim.Dim { return listOf(r, secDims, d, dimRecord) }

func symbolRecord(r rec, s *dim.Symbol) {
	s.Name = r.str(s.Name)
	s.Min, s.Max = r.i64(s.Min), r.i64(s.Max)
	s.Buckets = r.ints(s.Buckets)
}

func sourceRecord(r rec, s *Source) {
	s.Name, s.ID = r.str(s.Name), r.str(s.ID)
	s.Size = r.i64(s.Size)
	if r.c.reading {
		r.c.names = append(r.c.names, s.Name)
	}
}

func dimRecord(r rec, d *dim.Dim) {
	n, constant := d.Const()
	text := ""
	if !r.c.reading {
		if err := d.Valid(); err != nil {
			r.c.fail("%w", err)
			return
		}
		if !constant {
			n, text = -1, d.String()
		}
	}
	n, text = r.i64(n), r.str(text)
	if !r.c.reading || r.c.err != nil {
		return
	}
	if text == "" {
		*d = dim.Of(n)
		return
	}
	// Equal texts are one string: parse it once.
	known, ok := r.c.dims[text]
	if !ok {
		var err error
		if known, err = dim.Parse(text); err != nil {
			r.c.fail("%w", err)
			return
		}
		r.c.dims[text] = known
	}
	if _, constant := known.Const(); constant || n != -1 || known.String() != text {
		r.c.fail("dimension %q with value %d is not in normal form", text, n)
	}
	*d = known
}

// encoding carries the first 16 bytes of a type.
func (r rec) encoding(elem *enc.Elem, e *enc.Encoding) {
	*elem = enc.Elem(r.u8(uint8(*elem)))
	e.Kind = enc.Kind(r.u8(uint8(e.Kind)))
	e.Store = enc.Elem(r.u8(uint8(e.Store)))
	e.Scale = enc.Elem(r.u8(uint8(e.Scale)))
	e.Format = enc.Format(r.u8(uint8(e.Format)))
	e.HasZero = r.flag(e.HasZero)
	r.pad(2)
	e.Axis = r.i32(e.Axis)
	e.BlockLen = r.i32(e.BlockLen)
}

func valueRecord(r rec, v *Value) {
	v.Name = r.str(v.Name)
	r.encoding(&v.Type.Elem, &v.Type.Enc)
	v.Type.Shape = r.dims(v.Type.Shape)
	v.Kind = Kind(r.u8(uint8(v.Kind)))
	var w Weight
	var flags uint8
	if v.Data != nil {
		w = *v.Data
		if w.Dims != nil {
			flags |= flagDims
		}
		if w.Perm != nil {
			flags |= flagPerm
		}
	}
	flags = r.u8(flags)
	r.pad(2)
	v.Def = NodeID(r.i32(int(v.Def)))
	if flags&flagDims != 0 {
		if w.Dims = r.dims(w.Dims); w.Dims == nil {
			w.Dims = []dim.Dim{}
		}
	} else {
		w.Parts = listOf(r, secParts, w.Parts, partRecord)
	}
	perm := make([]int64, len(w.Perm))
	for i, a := range w.Perm {
		perm[i] = int64(a)
	}
	perm = r.ints(perm)
	w.Axis = r.i32(w.Axis)
	r.pad(4)
	if !r.c.reading {
		if (v.Data != nil) != (v.Kind == Const) {
			r.c.fail("value %q of kind %d should have data just when it is a constant", v.Name, v.Kind)
		}
		return
	}
	if flags&flagPerm != 0 {
		w.Perm = make([]int, len(perm))
		for i, a := range perm {
			w.Perm[i] = int(a)
			if a < 0 || a >= MaxRank {
				r.c.fail("value %q: %d is not a dimension", v.Name, a)
			}
		}
	}
	if flags > flagDims|flagPerm || flags&flagPerm == 0 && perm != nil || v.Kind != Const && (flags != 0 || w.Parts != nil || w.Axis != 0) {
		r.c.fail("value %q of kind %d has flags %d that do not fit", v.Name, v.Kind, flags)
	}
	if v.Kind == Const {
		v.Data = &w
	}
}

func partRecord(r rec, p *Part) {
	r.encoding(&p.Elem, &p.Enc)
	p.Shape = r.ints(p.Shape)
	source, flags := int32(-1), uint32(0)
	if !r.c.reading {
		if p.Source != "" {
			var ok bool
			if source, ok = r.c.sources[p.Source]; !ok {
				r.c.fail("source %q is not declared", p.Source)
			}
		}
		if p.Inline != nil {
			flags |= flagInline
		}
		if p.Start != nil {
			flags |= flagSlice
		}
	}
	source, flags = int32(r.u32(uint32(source))), r.u32(flags)
	p.Offset, p.ScaleOffset, p.ZeroOffset = r.i64(p.Offset), r.i64(p.ScaleOffset), r.i64(p.ZeroOffset)
	if flags&flagInline != 0 {
		p.Inline = r.span(p.Inline)
	} else {
		r.pad(8)
		r.pad(8)
	}
	p.Start, p.Size = r.ints(p.Start), r.ints(p.Size)
	if !r.c.reading || r.c.err != nil {
		return
	}
	if source >= 0 && int(source) < len(r.c.names) {
		p.Source = r.c.names[source]
	}
	if flags&flagSlice != 0 && p.Start == nil {
		p.Start, p.Size = []int64{}, []int64{}
	}
	if flags > flagInline|flagSlice || flags&flagSlice == 0 && (p.Start != nil || p.Size != nil) || source < -1 || source >= 0 && p.Source == "" {
		r.c.fail("a part with source %d and flags %d", source, flags)
	}
}

func nodeRecord(r rec, n *Node) {
	n.Op.Domain, n.Op.Name, n.Name = r.str(n.Op.Domain), r.str(n.Op.Name), r.str(n.Name)
	n.In = listOf(r, secIDs, n.In, idRecord)
	n.Out = listOf(r, secIDs, n.Out, idRecord)
	n.Attrs = listOf(r, secAttrs, n.Attrs, attrRecord)
	n.Op.Version = r.i32(n.Op.Version)
	r.pad(4)
}

func attrRecord(r rec, a *Attr) {
	a.Name = r.str(a.Name)
	a.Kind = AttrKind(r.u8(uint8(a.Kind)))
	a.Elem = enc.Elem(r.u8(uint8(a.Elem)))
	r.pad(2)
	floatRecord(r, &a.Float)
	a.Int = r.i64(a.Int)
	switch a.Kind {
	case AttrString:
		a.Str = r.str(a.Str)
	case AttrInts:
		a.Ints = r.ints(a.Ints)
	case AttrFloats:
		a.Floats = listOf(r, secFloats, a.Floats, floatRecord)
	case AttrStrings:
		a.Strings = listOf(r, secStrs, a.Strings, strRecord)
	case AttrTensor:
		ts := []Tensor{{}}
		if a.Tensor != nil {
			ts[0] = *a.Tensor
		}
		if ts = listOf(r, secTensors, ts, tensorRecord); len(ts) != 1 {
			r.c.fail("attribute %q has %d tensors", a.Name, len(ts))
			return
		}
		a.Tensor = &ts[0]
	default:
		r.pad(8)
	}
}

func tensorRecord(r rec, t *Tensor) {
	var e enc.Encoding
	r.encoding(&t.Elem, &e)
	if e != (enc.Encoding{}) {
		r.c.fail("an attribute's tensor has encoding %s", e)
	}
	t.Shape = r.ints(t.Shape)
	t.Data = r.span(t.Data)
}
