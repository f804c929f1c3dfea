package scheduler

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Plan says where and how each module runs, and why. It is a plain value:
// safe to copy, print, save and load.
type Plan struct {
	Version    int         `json:"version"`
	Workload   string      `json:"workload"`
	Policy     Policy      `json:"policy"`
	Devices    []DeviceRef `json:"devices"`
	Placements []Placement `json:"placements"`
	// TileBatch is the most tiles of one vision run, Chunk the most tokens of
	// one prefill run; 0 where the workload has no such module.
	TileBatch int64    `json:"tile_batch"`
	Chunk     int64    `json:"chunk"`
	Memory    Estimate `json:"memory"`
}

// planVersion changes when old plans cannot be read any more.
const planVersion = 1

// DeviceRef identifies a device that a plan was made for.
type DeviceRef struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
}

// Placement is the place of one module.
type Placement struct {
	Module string `json:"module"`
	// Hash is the graph's, so that a plan is not used for another model.
	Hash   string `json:"hash"`
	Device string `json:"device"`
	// Recipe names the precision: of weights and of arithmetic.
	Recipe string `json:"recipe"`
	// Variants are the symbol values that are compiled, one executable each; a
	// single empty one keeps all symbols open.
	Variants []map[string]int64 `json:"variants"`
	Reason   string             `json:"reason"`
	// Others says why the other devices were not chosen.
	Others []Other `json:"others,omitempty"`
	// Fallback tells that the first preference could not be had.
	Fallback bool `json:"fallback,omitempty"`
}

// Other is a device that was not chosen, and why.
type Other struct {
	Device string `json:"device"`
	Reason string `json:"reason"`
}

// Estimate is memory in bytes, as far as graphs tell it.
type Estimate struct {
	Weights int64 `json:"weights"` // as stored
	States  int64 `json:"states"`
	IO      int64 `json:"io"` // inputs and outputs at their largest
}

// Total returns the sum.
func (e Estimate) Total() int64 { return e.Weights + e.States + e.IO }

// Placement returns the placement of a module.
func (p *Plan) Placement(module string) (Placement, bool) {
	i := slices.IndexFunc(p.Placements, func(q Placement) bool { return q.Module == module })
	if i < 0 {
		return Placement{}, false
	}
	return p.Placements[i], true
}

// Fallbacks lists what did not go to the first preference, one line each.
func (p *Plan) Fallbacks() []string {
	var out []string
	for _, q := range p.Placements {
		if q.Fallback {
			out = append(out, fmt.Sprintf("%s runs on %s: %s", q.Module, q.Device, q.Reason))
		}
	}
	return out
}

// Batches splits n tiles into runs of at most TileBatch: 9 is 4+4+1.
func (p *Plan) Batches(n int64) []int64 {
	var out []int64
	for n > 0 {
		b := min(n, max(1, p.TileBatch))
		out = append(out, b)
		n -= b
	}
	return out
}

// Explain prints the plan for people.
func (p *Plan) Explain(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "plan for %s\n", p.Workload)
	for _, q := range p.Placements {
		fmt.Fprintf(&b, "  %-8s on %s, %s: %s\n", q.Module, q.Device, q.Recipe, q.Reason)
		for _, o := range q.Others {
			fmt.Fprintf(&b, "           not %s: %s\n", o.Device, o.Reason)
		}
	}
	if p.TileBatch > 0 {
		fmt.Fprintf(&b, "  tiles    up to %d in one run\n", p.TileBatch)
	}
	if p.Chunk > 0 {
		fmt.Fprintf(&b, "  chunk    %d tokens of prefill in one run\n", p.Chunk)
	}
	mb := func(n int64) float64 { return float64(n) / 1e6 }
	fmt.Fprintf(&b, "  memory   %.1f MB: weights %.1f, state %.1f, inputs and outputs %.1f\n", mb(p.Memory.Total()), mb(p.Memory.Weights), mb(p.Memory.States), mb(p.Memory.IO))
	_, err := io.WriteString(w, b.String())
	return err
}

// Save writes the plan as JSON.
func (p *Plan) Save(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(p)
}

// Read reads a saved plan.
func Read(r io.Reader) (*Plan, error) {
	var p Plan
	d := json.NewDecoder(io.LimitReader(r, 16<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("scheduler: plan: %w", err)
	}
	if p.Version != planVersion {
		return nil, fmt.Errorf("scheduler: the plan is of version %d, this program reads %d: plan again", p.Version, planVersion)
	}
	return &p, nil
}

// ErrStale is wrapped by errors about a plan that does not match the devices
// or the workload at hand.
var ErrStale = errors.New("the plan does not match: plan again")
