package validate

import (
	"slices"
	"sync/atomic"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal/driver"
)

type executable struct {
	d        *device
	in       driver.Executable
	label    string
	bindings []driver.Binding
	symbols  []dim.Symbol
	uses     atomic.Int64 // by commands of pending batches
}

// executable wraps what the driver compiled, if it is what g describes.
func (d *device) executable(g *graph.Graph, in driver.Executable) (driver.Executable, error) {
	x := &executable{d: d, in: in, label: g.Name, bindings: slices.Clone(in.Bindings()), symbols: slices.Clone(in.Symbols())}
	if err := x.check(g); err != nil {
		_ = callErr(d.rec, "Close", in.Close)
		return nil, err
	}
	d.opened(x, "executable %q", g.Name)
	return x, nil
}

func (x *executable) check(g *graph.Graph) error {
	want := driver.BindingsOf(g, 0)
	if len(x.bindings) != len(want) {
		return x.d.rec.add(RuleBinding, "graph %q has %d inputs, outputs and states, the executable %d bindings", g.Name, len(want), len(x.bindings))
	}
	for i, b := range x.bindings {
		w := &want[i]
		if b.Name != w.Name || b.Role != w.Role || !b.Type.Equal(w.Type) {
			return x.d.rec.add(RuleBinding, "graph %q: binding %d is %s %q %s, want %s %q %s", g.Name, i, b.Role, b.Name, b.Type, w.Role, w.Name, w.Type)
		}
		if b.Align < 0 {
			return x.d.rec.add(RuleBinding, "graph %q: %s %q has alignment %d", g.Name, b.Role, b.Name, b.Align)
		}
	}
	if !slices.EqualFunc(x.symbols, g.Symbols, sameSymbol) {
		return x.d.rec.add(RuleBinding, "graph %q has symbols %v, the executable %v", g.Name, g.Symbols, x.symbols)
	}
	if f := x.in.Footprint(); f.Weights < 0 || f.Mapped < 0 || f.Scratch < 0 {
		return x.d.rec.add(RuleBinding, "graph %q: footprint %+v is negative", g.Name, f)
	}
	return nil
}

func sameSymbol(a, b dim.Symbol) bool { return a.Name == b.Name && a.Min == b.Min && a.Max == b.Max }

// Bindings returns the executable's own.
func (x *executable) Bindings() []driver.Binding { return x.in.Bindings() }

// Symbols returns the executable's own.
func (x *executable) Symbols() []dim.Symbol { return x.in.Symbols() }

// Footprint returns the executable's own.
func (x *executable) Footprint() driver.Footprint { return x.in.Footprint() }

// Close closes the executable, and sees that it stayed what it was.
func (x *executable) Close() error {
	if err := x.d.closing(x, "an executable"); err != nil {
		return err
	}
	if x.uses.Load() > 0 {
		x.d.rec.add(RuleClosed, "executable %q was closed while a pending batch uses it", x.label)
	}
	var err error
	if !slices.EqualFunc(x.in.Bindings(), x.bindings, sameBinding) || !slices.EqualFunc(x.in.Symbols(), x.symbols, sameSymbol) {
		err = x.d.rec.add(RuleBinding, "executable %q: its bindings or symbols changed", x.label)
	}
	if e := callErr(x.d.rec, "Close", x.in.Close); e != nil {
		return e
	}
	return err
}

func sameBinding(a, b driver.Binding) bool {
	return a.Name == b.Name && a.Role == b.Role && a.Align == b.Align && a.Type.Equal(b.Type)
}

// at binds the executable's symbols to values.
func (x *executable) at(dims []int64) dim.Binding {
	b := dim.Binding{}
	for i, s := range x.symbols {
		b[s.Name] = dims[i]
	}
	return b
}
