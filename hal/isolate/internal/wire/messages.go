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

// Program describes an executable: the reply to Compile and Load.
type Program struct {
	Bindings  []BindingText    `json:"bindings"`
	Symbols   []dim.Symbol     `json:"symbols"`
	Footprint driver.Footprint `json:"footprint"`
}

// BindingText is a driver.Binding with its type in text form.
type BindingText struct {
	Name  []byte      `json:"name"` // any bytes, which JSON's strings are not
	Role  driver.Role `json:"role"`
	Type  string      `json:"type"`
	Align int64       `json:"align"`
}

// ProgramOf describes what a driver compiled.
func ProgramOf(bs []driver.Binding, syms []dim.Symbol, f driver.Footprint) *Program {
	p := &Program{Symbols: syms, Footprint: f}
	for _, b := range bs {
		p.Bindings = append(p.Bindings, BindingText{[]byte(b.Name), b.Role, b.Type.String(), b.Align})
	}
	return p
}

// Binding reads binding i.
func (p *Program) Binding(i int) (driver.Binding, error) {
	b := &p.Bindings[i]
	t, err := graph.ParseType(b.Type)
	if err != nil || b.Role > driver.RoleState || b.Align < 0 {
		return driver.Binding{}, garbage("binding %q of type %q: %v", b.Name, b.Type, err)
	}
	return driver.Binding{Name: string(b.Name), Role: b.Role, Type: t, Align: b.Align}, nil
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
