package plugin

import (
	"github.com/heddle-ml/heddle/graph"
)

// form is a graph in the binary form that libraries get.
type form struct {
	of      *graph.Graph // as it was given
	graph   *graph.Graph // with its derived weights in a file
	derived *derivation  // nil if there are none
	blob    []byte       // at a multiple of 16 bytes
}

func newForm(g *graph.Graph) (*form, error) {
	f := &form{of: g, graph: g}
	var err error
	if f.derived, err = deriving(g); err != nil {
		return nil, err
	}
	if f.derived != nil {
		f.graph = f.derived.graph
	}
	blob, err := graph.Marshal(f.graph)
	f.blob = aligned(blob)
	return f, err
}

// keepForm makes the form of g and keeps it: Supports is usually followed by
// Compile.
func (d *device) keepForm(g *graph.Graph) (*form, error) {
	f, err := newForm(g)
	if err != nil {
		return nil, err
	}
	d.formMu.Lock()
	defer d.formMu.Unlock()
	d.form = f
	return f, nil
}

// takeForm returns the form that was kept, if it is g's, or makes it; nothing
// is kept afterwards.
func (d *device) takeForm(g *graph.Graph) (*form, error) {
	d.formMu.Lock()
	f := d.form
	d.form = nil
	d.formMu.Unlock()
	if f != nil && f.of == g {
		return f, nil
	}
	return newForm(g)
}

// forget lets go of the form that was kept.
func (d *device) forget() {
	d.formMu.Lock()
	defer d.formMu.Unlock()
	d.form = nil
}

// aligned returns b at a multiple of 16 bytes.
func aligned(b []byte) []byte {
	const step = 16
	if len(b) == 0 || address(&b[0])%step == 0 {
		return b
	}
	room := make([]byte, len(b)+step)
	skip := int(-address(&room[0]) % step)
	return append(room[skip:skip:len(room)], b...)
}
