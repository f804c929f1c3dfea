package scheduler

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Planner makes plans for a set of open devices. Safe for concurrent use.
type Planner struct {
	devs []*hal.Device
}

// New returns a planner for devs. They are tried in this order where a policy
// says nothing else.
func New(devs ...*hal.Device) *Planner { return &Planner{devs: devs} }

// Defaults of the paper's phone (BlueLM-V-3B, sections 3.2 and 3.3), where a
// device prefers nothing else.
const (
	defaultTileBatch = 4
	defaultChunk     = 128
)

// Plan assigns every module to a device. It is an error, naming module,
// device and reason, when none can take one, or when policy.Strict is set
// and the first preference cannot.
func (p *Planner) Plan(ctx context.Context, w Workload, policy Policy) (*Plan, error) {
	if len(p.devs) == 0 {
		return nil, fmt.Errorf("scheduler: no open devices: %w", hal.ErrUnavailable)
	}
	plan := &Plan{Version: planVersion, Workload: w.Name, Policy: policy}
	used := map[string]bool{}
	chosen := map[string]*hal.Device{} // by group
	for i := range w.Modules {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m := &w.Modules[i]
		if _, done := chosen[m.group()]; done {
			continue
		}
		pl, dev, err := p.place(w, m.group(), policy)
		if err != nil {
			return nil, err
		}
		chosen[m.group()] = dev
		for j := range w.Modules {
			n := &w.Modules[j]
			if n.group() != m.group() {
				continue
			}
			q := pl
			q.Module = n.Name
			h := n.Graph.Hash()
			q.Hash = hex.EncodeToString(h[:8])
			q.Recipe = recipe(n.Graph)
			if err := plan.shape(n, dev, &q); err != nil {
				return nil, err
			}
			plan.Placements = append(plan.Placements, q)
		}
		if !used[dev.Name()] {
			used[dev.Name()] = true
			plan.Devices = append(plan.Devices, DeviceRef{dev.Name(), dev.Caps().Fingerprint})
		}
	}
	plan.Memory = estimate(w, plan)
	if b := policy.MemoryBudget; b > 0 && plan.Memory.Total() > b {
		return nil, fmt.Errorf("scheduler: %s needs at least %d bytes (weights %d, state %d, inputs and outputs %d), the budget is %d: %w",
			w.Name, plan.Memory.Total(), plan.Memory.Weights, plan.Memory.States, plan.Memory.IO, b, hal.ErrOutOfMemory)
	}
	return plan, nil
}

// candidates lists the devices for a group in order of preference.
func (p *Planner) candidates(group string, policy Policy) ([]*hal.Device, bool, error) {
	names := policy.Place[group]
	if names == nil {
		names = policy.Devices
	}
	if len(names) == 0 || len(names) == 1 && names[0] == "auto" {
		var out []*hal.Device
		for _, d := range p.devs {
			if d.Caps().Kind != driver.Null && !slices.Contains(policy.Deny, d.Name()) {
				out = append(out, d)
			}
		}
		rank := map[driver.Kind]int{driver.NPU: 0, driver.GPU: 1, driver.CPU: 2}
		slices.SortStableFunc(out, func(a, b *hal.Device) int { return rank[a.Caps().Kind] - rank[b.Caps().Kind] })
		return out, false, nil
	}
	var out []*hal.Device
	for _, n := range names {
		base, _, _ := strings.Cut(n, "?") // options are not part of a device's name
		i := slices.IndexFunc(p.devs, func(d *hal.Device) bool { return d.Name() == base })
		if i < 0 {
			return nil, true, fmt.Errorf("scheduler: %s: device %q is not open: %w", group, n, hal.ErrUnavailable)
		}
		if !slices.Contains(policy.Deny, base) {
			out = append(out, p.devs[i])
		}
	}
	return out, true, nil
}

// place finds the first device that takes all modules of a group.
func (p *Planner) place(w Workload, group string, policy Policy) (Placement, *hal.Device, error) {
	cand, named, err := p.candidates(group, policy)
	if err != nil {
		return Placement{}, nil, err
	}
	var pl Placement
	var chosen *hal.Device
	for _, d := range cand {
		if chosen != nil {
			pl.Others = append(pl.Others, Other{d.Name(), "comes later in the order of preference"})
			continue
		}
		why, err := refusal(w, group, d)
		if err != nil {
			return Placement{}, nil, err
		}
		if why == "" {
			chosen, pl.Device = d, d.Name()
			continue
		}
		if policy.Strict && named {
			return Placement{}, nil, fmt.Errorf("scheduler: %s cannot run on %s, and the policy is strict: %s: %w", group, d.Name(), why, hal.ErrUnsupported)
		}
		pl.Others = append(pl.Others, Other{d.Name(), why})
		pl.Fallback = true
	}
	if chosen == nil {
		var why []string
		for _, o := range pl.Others {
			why = append(why, o.Device+": "+o.Reason)
		}
		if why == nil {
			why = []string{"the policy allows no device"}
		}
		return Placement{}, nil, fmt.Errorf("scheduler: no device can run %s: %s: %w", group, strings.Join(why, "; "), hal.ErrUnsupported)
	}
	nodes := 0
	for _, m := range w.Modules {
		if m.group() == group {
			nodes += len(m.Graph.Nodes)
		}
	}
	switch {
	case pl.Fallback:
		pl.Reason = fmt.Sprintf("takes all %d nodes; what was preferred does not", nodes)
	case named:
		pl.Reason = fmt.Sprintf("asked for, and takes all %d nodes", nodes)
	case len(cand) == 1:
		pl.Reason = fmt.Sprintf("the only device, and takes all %d nodes", nodes)
	default:
		pl.Reason = fmt.Sprintf("first of %d devices, and takes all %d nodes", len(cand), nodes)
	}
	return pl, chosen, nil
}

// refusal says why a device cannot run a group; empty when it can.
func refusal(w Workload, group string, d *hal.Device) (string, error) {
	for _, m := range w.Modules {
		if m.group() != group {
			continue
		}
		vs, err := d.Supports(m.Graph)
		if errors.Is(err, hal.ErrDeviceLost) || errors.Is(err, hal.ErrClosed) {
			return err.Error(), nil
		}
		if err != nil {
			return "", err
		}
		n, first := 0, -1
		for i, v := range vs {
			if !v.OK {
				if n++; first < 0 {
					first = i
				}
			}
		}
		if n > 0 {
			node := &m.Graph.Nodes[first]
			return fmt.Sprintf("%d of %d nodes of %s, first %s (%s): %s", n, len(vs), m.Name, node.Name, node.Op, vs[first].Text), nil
		}
	}
	return "", nil
}

// recipe names the precision of a graph: how most of its weight bytes are
// stored, and what is computed with.
func recipe(g *graph.Graph) string {
	bytes := map[string]int64{}
	for i := range g.Values {
		v := &g.Values[i]
		if v.Kind != graph.Const || v.Data.Dims != nil {
			continue
		}
		shape, _ := v.Type.Shape.Const()
		l, err := v.Type.Enc.Layout(v.Type.Elem, shape)
		if err != nil {
			continue
		}
		name := v.Type.Enc.Stored(v.Type.Elem).String()
		if v.Type.Enc.Kind == enc.Block {
			name = v.Type.Enc.Format.String()
		}
		bytes[name] += l.Total()
	}
	best, most := "f32", int64(-1)
	for n, b := range bytes {
		if b > most || b == most && n < best {
			best, most = n, b
		}
	}
	return best + " weights, f32 arithmetic"
}

// shape chooses batch sizes and variants of a module on a device.
func (p *Plan) shape(m *Module, d *hal.Device, q *Placement) error {
	caps := d.Caps()
	static := caps.Shapes.StaticOnly || p.Policy.Static
	q.Variants = []map[string]int64{{}}
	var best int64
	if m.Batch != "" {
		sym, ok := m.Graph.Symbol(m.Batch)
		if !ok {
			return fmt.Errorf("scheduler: module %s has no symbol %q", m.Name, m.Batch)
		}
		switch m.Batch {
		case "tiles":
			best = pick(p.Policy.TileBatch, caps.Shapes.TileBatches, defaultTileBatch, sym)
			p.TileBatch = best
		case "chunk":
			best = pick(p.Policy.Chunk, caps.Shapes.Chunks, defaultChunk, sym)
			p.Chunk = best
		default:
			return fmt.Errorf("scheduler: module %s: %q is not a symbol that is planned", m.Name, m.Batch)
		}
		if asked := map[string]int64{"tiles": p.Policy.TileBatch, "chunk": p.Policy.Chunk}[m.Batch]; asked > 0 && asked != best {
			return fmt.Errorf("scheduler: %s = %d is not in %d..%d", m.Batch, asked, sym.Min, sym.Max)
		}
	}
	if !static {
		return nil
	}
	full := map[string]int64{}
	for _, s := range m.Graph.Symbols {
		v, ok := m.Follow[s.Name]
		switch {
		case s.Name == m.Batch:
			v = best
		case !ok:
			v = s.Max
		}
		full[s.Name] = v
	}
	q.Variants = []map[string]int64{full}
	if m.Batch == "tiles" && best > 1 {
		// What does not fill a batch runs tile by tile (paper, section 3.2:
		// 4 + 4 + 1): a padded batch would cost as much as a full one.
		one := map[string]int64{}
		for k, v := range full {
			one[k] = v
		}
		one[m.Batch] = 1
		q.Variants = append(q.Variants, one)
	}
	q.Reason += "; shapes are static"
	return nil
}

// pick returns the value asked for, or the device's largest preference, or
// the default, within the symbol's bounds.
func pick(asked int64, preferred []int64, def int64, s dim.Symbol) int64 {
	v := def
	if len(preferred) > 0 {
		v = preferred[0]
		for _, n := range preferred {
			if n <= s.Max {
				v = n
			}
		}
	}
	if asked > 0 {
		v = asked
	}
	return min(max(v, s.Min), s.Max)
}

// estimate adds up what the graphs tell: weights that several modules refer
// to count once.
func estimate(w Workload, p *Plan) Estimate {
	var e Estimate
	seen := map[string]bool{}
	states := map[string]bool{}
	for _, m := range w.Modules {
		at := dim.Binding{}
		for _, s := range m.Graph.Symbols {
			at[s.Name] = s.Max
		}
		if m.Batch == "tiles" {
			at[m.Batch] = p.TileBatch
		}
		if m.Batch == "chunk" {
			at[m.Batch] = p.Chunk
		}
		bytes := func(t graph.Type) int64 {
			shape, err := t.Shape.Eval(at)
			if err != nil {
				return 0
			}
			l, err := t.Enc.Layout(t.Elem, shape)
			if err != nil {
				return 0
			}
			return l.Total()
		}
		for i := range m.Graph.Values {
			v := &m.Graph.Values[i]
			if v.Kind != graph.Const {
				continue
			}
			for _, part := range v.Data.Parts {
				key := fmt.Sprint(part.Source, part.Offset, len(part.Inline), part.Start, part.Size)
				if part.Source == "" {
					key = m.group() + v.Name
				}
				if seen[key] {
					continue
				}
				seen[key] = true
				if l, err := part.Enc.Layout(part.Elem, part.Box()); err == nil {
					e.Weights += l.Total()
				}
			}
		}
		for _, s := range m.Graph.States {
			if key := m.group() + " " + s.Name; !states[key] {
				states[key] = true
				e.States += bytes(m.Graph.Values[s.In].Type)
			}
		}
		for _, id := range m.Graph.Inputs {
			e.IO += bytes(m.Graph.Values[id].Type)
		}
		for _, o := range m.Graph.Outputs {
			e.IO += bytes(m.Graph.Values[o.Value].Type)
		}
	}
	return e
}
