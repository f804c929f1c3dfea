package cpu

import (
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

// fuse rewrites a graph into the composites that have kernels.
func fuse(g *graph.Graph) (*graph.Graph, error) {
	return passes.Run(g, passes.Dedupe, passes.DeadCode)
}

func (d *device) Supports(g *graph.Graph) []driver.Verdict {
	out := make([]driver.Verdict, len(g.Nodes))
	for i := range g.Nodes {
		out[i] = supports(g.Call(graph.NodeID(i)))
	}
	return out
}

func supports(c *graph.Call) driver.Verdict {
	no := func(code driver.ReasonCode, format string, args ...any) driver.Verdict {
		return driver.Verdict{Code: code, Text: fmt.Sprintf(format, args...)}
	}
	l, ok := lowerings[opKey{c.Op.Domain, c.Op.Name}]
	if !ok {
		return no(driver.ReasonOperator, "operator %s has no kernel", c.Op)
	}
	if c.Has(0) && !l.elems.Has(c.Type(0).Elem) {
		return no(driver.ReasonType, "%s of %s has no kernel", c.Op, c.Type(0).Elem)
	}
	for i, v := range c.In {
		if v == nil || v.Type.Enc.Kind == enc.Plain {
			continue
		}
		list := l.encoded
		if v.Kind != graph.Const {
			list = l.states
		}
		if !contains(list, i) {
			return no(driver.ReasonEncoding, "%s does not take input %d as %s", c.Op, i, v.Type.Enc)
		}
	}
	if l.check != nil {
		if why := l.check(c); why != "" {
			return no(driver.ReasonAttribute, "%s: %s", c.Op, why)
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
		Numerics:    driver.Numerics{Accumulate: enc.F32.String(), Deterministic: true},
		Notes:       []string{fmt.Sprintf("kernels: %s, %d workers", t.Tier, workers)},
	}
	for _, s := range kern.Report() {
		if !s.Usable {
			c.Notes = append(c.Notes, fmt.Sprintf("tier %s is not used: %s", s.Tier, s.Reason))
		}
	}
	for _, o := range ops.List() {
		l, ok := lowerings[opKey{o.Ref.Domain, o.Ref.Name}]
		if !ok {
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
				oc.Encodings = append(oc.Encodings, f.String())
			}
		}
		c.Ops = append(c.Ops, oc)
	}
	return c
}
