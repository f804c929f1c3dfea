package fault

import (
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal/driver"
)

// executable is a compiled graph. The graph stays valid until it is closed.
type executable struct {
	d        *device
	in       driver.Executable // nil for one that computes nothing
	g        *graph.Graph
	bindings []driver.Binding
	symbols  []dim.Symbol
	wrong    bool // restored from a blob to something else
}

func (d *device) executable(g *graph.Graph, in driver.Executable) *executable {
	return &executable{d: d, in: in, g: g, bindings: in.Bindings(), symbols: in.Symbols()}
}

// hollow makes an executable of a graph that nobody compiled; nil when not
// even its arguments make sense.
func hollow(d *device, g *graph.Graph) (x *executable) {
	defer func() {
		if recover() != nil {
			x = nil
		}
	}()
	return &executable{d: d, g: g, bindings: driver.BindingsOf(g, driver.PlaneAlign), symbols: g.Symbols}
}

// Bindings returns the executable's own.
func (x *executable) Bindings() []driver.Binding { return x.bindings }

// Symbols returns the executable's own.
func (x *executable) Symbols() []dim.Symbol { return x.symbols }

// Footprint returns the executable's own.
func (x *executable) Footprint() driver.Footprint {
	if x.in == nil {
		return driver.Footprint{}
	}
	return x.in.Footprint()
}

// Close closes it.
func (x *executable) Close() error {
	if x.in == nil {
		return nil
	}
	return x.d.closing(x.in.Close)
}

// at binds the symbols to values.
func (x *executable) at(dims []int64) dim.Binding {
	b := make(dim.Binding, len(dims))
	for i, s := range x.symbols {
		if i < len(dims) {
			b[s.Name] = dims[i]
		}
	}
	return b
}
