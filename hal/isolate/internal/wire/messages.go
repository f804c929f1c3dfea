package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Greeting is the payload of Hello and of its reply, which say who is there.
type Greeting struct {
	Version  uint32
	Driver   string // the client's wish
	MemLimit int64  // bytes of private memory; 0: no limit
	Info     driver.Info
	// Found tells, from the host, that it has the driver; Drivers, what it has.
	Found   bool
	Drivers []string
}

// Append appends the greeting: magic and version, which never change their
// place, then JSON.
func (g *Greeting) Append(b []byte) []byte {
	b = append(b, Magic...)
	b = binary.LittleEndian.AppendUint32(b, g.Version)
	j, _ := json.Marshal(g) // it has no form that could fail
	return append(b, j...)
}

// Decode reads a greeting. Of another version only the version is read.
func (g *Greeting) Decode(b []byte) error {
	r := NewReader(b)
	if string(r.take(len(Magic))) != Magic {
		return garbage("no greeting")
	}
	v := r.U32()
	if r.err != nil {
		return r.err
	}
	if v != Version {
		*g = Greeting{Version: v}
		return nil
	}
	if err := json.Unmarshal(r.Rest(), g); err != nil {
		return garbage("a greeting: %v", err)
	}
	g.Version = v
	return nil
}

// OpenRequest is the payload of Open.
type OpenRequest struct {
	ID      string             `json:"id"`
	Options driver.OpenOptions `json:"options"`
}

// Opened is the reply to Open.
type Opened struct {
	Caps driver.Caps `json:"caps"`
	// What the device implements of the optional interfaces.
	Importer    bool `json:"importer,omitempty"`
	Cacher      bool `json:"cacher,omitempty"`
	SetCompiler bool `json:"set_compiler,omitempty"`
	Estimator   bool `json:"estimator,omitempty"`
}

// SourceRef says where the bytes of a graph's source are: a Source that was
// sent, or nowhere, because of Err.
type SourceRef struct {
	Name string
	ID   uint32
	Err  *Failure
	// Cause is the error itself, where it happened.
	Cause error
}

// Compilation is the payload of Compile, CompileSet and Load. Blob and Graphs
// are parts of what it was decoded from.
type Compilation struct {
	Label   string
	Sources []SourceRef
	Blob    []byte
	Graphs  [][]byte
}

// Append appends the compilation.
func (c *Compilation) Append(b []byte) []byte {
	le := binary.LittleEndian
	b = AppendBytes(b, c.Label)
	b = le.AppendUint32(b, uint32(len(c.Sources)))
	for _, s := range c.Sources {
		b = AppendBytes(b, s.Name)
		b = le.AppendUint32(b, s.ID)
		if s.ID == 0 {
			b = le.AppendUint32(b, uint32(s.Err.Code))
			b = AppendBytes(b, s.Err.Append(nil))
		}
	}
	b = AppendBytes(b, c.Blob)
	b = le.AppendUint32(b, uint32(len(c.Graphs)))
	for _, g := range c.Graphs {
		b = AppendBytes(b, g)
	}
	return b
}

// Decode reads a compilation.
func (c *Compilation) Decode(b []byte) error {
	r := NewReader(b)
	*c = Compilation{Label: r.String()}
	for range r.Count(8) {
		s := SourceRef{Name: r.String(), ID: r.U32()}
		if s.ID == 0 {
			code := Code(r.U32())
			err, bad := DecodeFailure(code, r.Bytes())
			if bad != nil {
				return bad
			}
			s.Err = err.(*Failure)
		}
		c.Sources = append(c.Sources, s)
	}
	c.Blob = r.Bytes()
	for range r.Count(4) {
		c.Graphs = append(c.Graphs, r.Bytes())
	}
	return r.Err()
}

// AppendVerdicts appends the reply to Supports.
func AppendVerdicts(b []byte, vs []driver.Verdict) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(len(vs)))
	for _, v := range vs {
		ok := byte(0)
		if v.OK {
			ok = 1
		}
		b = le.AppendUint32(append(b, ok), uint32(v.Group))
		b = AppendBytes(AppendBytes(b, string(v.Code)), v.Text)
	}
	return b
}

// DecodeVerdicts reads the reply to Supports.
func DecodeVerdicts(b []byte) ([]driver.Verdict, error) {
	r := NewReader(b)
	out := make([]driver.Verdict, r.Count(13))
	for i := range out {
		out[i] = driver.Verdict{OK: r.U8() != 0, Group: int32(r.U32()), Code: driver.ReasonCode(r.String()), Text: r.String()}
	}
	return out, r.Err()
}

// Program describes an executable: part of the reply to Compile and Load.
type Program struct {
	Bindings  []driver.Binding
	Symbols   []dim.Symbol
	Footprint driver.Footprint
}

// Append appends the program. It is not JSON, whose strings cannot be any
// bytes, as names can.
func (p *Program) Append(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(len(p.Bindings)))
	for _, x := range p.Bindings {
		b = AppendBytes(append(b, byte(x.Role)), x.Name)
		b = AppendDim(AppendBytes(b, x.Type.String()), x.Align)
	}
	b = le.AppendUint32(b, uint32(len(p.Symbols)))
	for _, s := range p.Symbols {
		b = AppendDim(AppendDim(AppendBytes(b, s.Name), s.Min), s.Max)
		b = le.AppendUint32(b, uint32(len(s.Buckets)))
		for _, n := range s.Buckets {
			b = AppendDim(b, n)
		}
	}
	for _, n := range [...]int64{p.Footprint.Weights, p.Footprint.Mapped, p.Footprint.Scratch} {
		b = AppendDim(b, n)
	}
	return b
}

// Read reads a program.
func (p *Program) Read(r *Reader) error {
	*p = Program{}
	for range r.Count(17) {
		b := driver.Binding{Role: driver.Role(r.U8()), Name: r.String()}
		text := r.String()
		b.Align = r.I64()
		if r.err != nil {
			return r.err
		}
		var err error
		if b.Type, err = graph.ParseType(text); err != nil || b.Role > driver.RoleState || b.Align < 0 {
			return garbage("binding %q of type %q: %v", b.Name, text, err)
		}
		p.Bindings = append(p.Bindings, b)
	}
	for range r.Count(24) {
		s := dim.Symbol{Name: r.String(), Min: r.I64(), Max: r.I64()}
		for range r.Count(8) {
			s.Buckets = append(s.Buckets, r.I64())
		}
		p.Symbols = append(p.Symbols, s)
	}
	p.Footprint = driver.Footprint{Weights: r.I64(), Mapped: r.I64(), Scratch: r.I64()}
	return r.err
}

// AppendEstimate appends the payload of Estimate.
func AppendEstimate(b, g []byte, at dim.Binding) []byte {
	b = AppendBytes(b, g)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(at)))
	for name, v := range at {
		b = AppendDim(AppendBytes(b, name), v)
	}
	return b
}

// DecodeEstimate reads the payload of Estimate.
func DecodeEstimate(b []byte) (g []byte, at dim.Binding, err error) {
	r := NewReader(b)
	g, at = r.Bytes(), dim.Binding{}
	for range r.Count(12) {
		name := r.String()
		at[name] = r.I64()
	}
	return g, at, r.Err()
}

// JSON decodes a reply in JSON.
func JSON[T any](payload []byte) (T, error) {
	var v T
	if err := json.Unmarshal(payload, &v); err != nil {
		return v, fmt.Errorf("%v: %w", err, ErrGarbage)
	}
	return v, nil
}
