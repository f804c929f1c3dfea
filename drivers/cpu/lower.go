package cpu

import (
	"errors"
	"fmt"
	"strings"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/passes"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern"
)

type opKey struct{ domain, name string }

// lowering turns nodes of one operator into steps.
type lowering struct {
	lower func(b *build, c *call) error
	// elems are the element types of the first input that it takes.
	elems ops.TypeSet
	// encoded lists the inputs that may be constants in any encoding; the
	// lowering reads them from the weight store itself.
	encoded []int
	// states lists the inputs that may be states with an encoding.
	states []int
	// check, if not nil, refuses what types alone do not tell.
	check func(c *graph.Call) string
	// raw lowerings ask for constants themselves.
	raw bool
}

// lowerings is the driver's operator table. Each family of operators adds its
// own in an init function; nothing changes it afterwards.
var lowerings = map[opKey]lowering{}

func register(name string, l lowering) {
	domain, op := "", name
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		domain, op = name[:i], name[i+1:]
	}
	k := opKey{domain, op}
	if _, twice := lowerings[k]; twice {
		panic("cpu: " + name + " is registered twice")
	}
	lowerings[k] = l
}

// fuse rewrites a graph into what has kernels: what is spelled out in
// primitives becomes composite, and composites without a kernel are taken
// apart.
func fuse(g *graph.Graph) (*graph.Graph, error) {
	decompose := passes.Pass{Name: "decompose", Run: func(g *graph.Graph) (*graph.Graph, error) {
		return passes.Decompose(g, lowered)
	}}
	return passes.Run(g, passes.Fold, passes.Dedupe, passes.Fuse(lowered), decompose, passes.Dedupe, passes.DeadCode)
}

func lowered(op graph.OpRef) bool {
	_, ok := lowerings[opKey{op.Domain, op.Name}]
	return ok
}

func (d *device) Supports(g *graph.Graph) []driver.Verdict {
	out := make([]driver.Verdict, len(g.Nodes))
	for i := range g.Nodes {
		out[i] = supports(g.Call(graph.NodeID(i)))
	}
	return out
}

func refuse(code driver.ReasonCode, format string, args ...any) driver.Verdict {
	return driver.Verdict{Code: code, Text: fmt.Sprintf(format, args...)}
}

func supports(c *graph.Call) driver.Verdict {
	l, ok := lowerings[opKey{c.Op.Domain, c.Op.Name}]
	if !ok {
		return supportsParts(c)
	}
	if c.Has(0) && !l.elems.Has(c.Type(0).Elem) {
		return refuse(driver.ReasonType, "%s of %s has no kernel", c.Op, c.Type(0).Elem)
	}
	for i, v := range c.In {
		if v == nil || v.Type.Enc.Kind == enc.Plain {
			continue
		}
		switch e := v.Type.Enc; {
		case v.Kind != graph.Const && !contains(l.states, i):
			return refuse(driver.ReasonEncoding, "%s does not take input %d as %s", c.Op, i, e)
		case v.Kind != graph.Const && e.Kind != enc.Affine:
			return refuse(driver.ReasonEncoding, "a state cannot be %s", e)
		case e.Kind == enc.Block && !readable(e.Format):
			return refuse(driver.ReasonEncoding, "block format %s cannot be read", e.Format)
		}
	}
	if l.check != nil {
		if why := l.check(c); why != "" {
			return refuse(driver.ReasonAttribute, "%s: %s", c.Op, why)
		}
	}
	return driver.Verdict{OK: true}
}

// supportsParts answers for an operator without a kernel: the parts that
// Compile takes it apart into decide.
func supportsParts(c *graph.Call) driver.Verdict {
	o := ops.Get(c.Op.Domain, c.Op.Name)
	if o == nil || o.Decompose == nil || o.Updates {
		return refuse(driver.ReasonOperator, "operator %s has no kernel", c.Op)
	}
	b := graph.NewBuilder(c.Name, ops.Standard)
	for _, s := range c.Symbols {
		b.Symbol(s)
	}
	in := make([]graph.ValueID, len(c.In))
	for i, v := range c.In {
		switch {
		case v == nil:
			in[i] = graph.NoValue
		case v.Kind == graph.Const:
			for k := range v.Data.Parts {
				if s := v.Data.Parts[k].Source; s != "" {
					b.Source(graph.Source{Name: s})
				}
			}
			in[i] = b.Weight("", v.Type, v.Data)
		default:
			t := v.Type
			t.Enc = enc.Encoding{}
			in[i] = b.Input(fmt.Sprintf("in%d", i), t)
		}
	}
	out, err := o.Decompose(b, c, in)
	for i, v := range out {
		if v != graph.NoValue {
			b.Output(fmt.Sprintf("out%d", i), v)
		}
	}
	g, err2 := b.Build()
	if err = errors.Join(err, err2); err != nil {
		return refuse(driver.ReasonOperator, "operator %s has no kernel and does not come apart: %v", c.Op, err)
	}
	for i := range g.Nodes {
		part := g.Call(graph.NodeID(i))
		if v := supports(part); !v.OK {
			v.Text = fmt.Sprintf("as a part of %s: %s", c.Op, v.Text)
			return v
		}
	}
	return driver.Verdict{OK: true}
}

func contains(list []int, i int) bool {
	for _, x := range list {
		if x == i {
			return true
		}
	}
	return false
}

func caps(t *kern.Table, workers int) *driver.Caps {
	c := &driver.Caps{
		Kind: driver.CPU, Vendor: "host", Model: model(), Version: version,
		Fingerprint: fmt.Sprintf("cpu-%s-%s-%s-%d", version, model(), t.Tier, workers),
		Heaps:       []driver.Heap{{Name: "host", Size: physicalMemory(), HostVisible: true, Import: []driver.ShareKind{driver.HostPtr}, Export: []driver.ShareKind{driver.HostPtr}, Align: driver.PlaneAlign}},
		Queues:      driver.QueueCap{Async: true},
		Numerics:    driver.Numerics{Accumulate: enc.F32.String(), Deterministic: true, ChecksIndices: true},
		Profiles:    []string{"skeleton", "vision", "language", "quantized", "multimodal"},
		Notes:       []string{fmt.Sprintf("kernels: %s, %d workers", t.Tier, workers)},
	}
	for _, s := range kern.Report() {
		if !s.Usable {
			c.Notes = append(c.Notes, fmt.Sprintf("tier %s is not used: %s", s.Tier, s.Reason))
		}
	}
	for _, o := range ops.List() {
		l, ok := lowerings[opKey{o.Ref.Domain, o.Ref.Name}]
		switch {
		case ok:
		case o.Decompose != nil && !o.Updates:
			l.elems = o.Inputs[0].Types // as far as its parts take them
		default:
			continue
		}
		oc := driver.OpCap{Domain: o.Ref.Domain, Name: o.Ref.Name}
		for _, e := range enc.Elems() {
			if l.elems.Has(e) {
				oc.Elems = append(oc.Elems, e.String())
			}
		}
		if len(l.encoded) > 0 {
			oc.Encodings = []string{"as(", "affine("}
			for _, f := range enc.Formats() {
				if readable(f) {
					oc.Encodings = append(oc.Encodings, f.String())
				}
			}
		}
		c.Ops = append(c.Ops, oc)
	}
	return c
}
