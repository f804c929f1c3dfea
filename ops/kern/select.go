package kern

import (
	"fmt"
	"sync"

	"github.com/heddle-ml/heddle/ops/kern/feat"
)

// Status says of one tier whether it may be used and, if not, why.
type Status struct {
	Tier   feat.Tier
	Usable bool
	Reason string // empty when Usable
}

type registry struct {
	usable []*Table // slowest first
	report []Status
}

// tiers checks every tier once per process. The check takes well under a
// millisecond.
var tiers = sync.OnceValue(func() registry {
	return examine(feat.Detect(), append([]*Table{generic}, assembled...))
})

// examine checks the built tables against the features and the known answers.
func examine(have feat.Set, built []*Table) registry {
	var r registry
	for _, tier := range feat.Tiers() {
		s := Status{Tier: tier}
		table := find(built, tier)
		switch missing := have.Missing(tier); {
		case missing != "":
			s.Reason = "needs " + missing + ", which this machine does not have"
		case table == nil:
			s.Reason = "not built: the build tag noasm leaves the generic tier only"
		default:
			if err := check(table); err != nil {
				s.Reason = "disabled: " + err.Error()
				break
			}
			s.Usable = true
			r.usable = append(r.usable, table)
		}
		r.report = append(r.report, s)
	}
	return r
}

func find(tables []*Table, tier feat.Tier) *Table {
	for _, t := range tables {
		if t.Tier == tier {
			return t
		}
	}
	return nil
}

// Select returns the table to use: the tier that HEDDLE_CPU names, or else the
// best usable one. It fails if HEDDLE_CPU names a tier that does not exist or
// cannot be used here, or if no tier passes its check.
func Select() (*Table, error) {
	tier, forced, err := feat.Forced()
	if err != nil {
		return nil, err
	}
	r := tiers()
	if !forced && len(r.usable) > 0 {
		return r.usable[len(r.usable)-1], nil
	}
	return r.get(tier) // not forced: says why not even the generic tier can be used
}

func (r registry) get(tier feat.Tier) (*Table, error) {
	if t := find(r.usable, tier); t != nil {
		return t, nil
	}
	for _, s := range r.report {
		if s.Tier == tier {
			return nil, fmt.Errorf("CPU tier %v cannot be used: %s; unset %s to choose automatically", tier, s.Reason, feat.Env)
		}
	}
	return nil, fmt.Errorf("CPU tier %v does not exist; unset %s to choose automatically", tier, feat.Env)
}

// Usable returns the tables of all usable tiers, slowest first, for tests that
// run every tier in one process.
func Usable() []*Table { return append([]*Table(nil), tiers().usable...) }

// Report returns the status of every tier, in the order of feat.Tiers.
func Report() []Status { return append([]Status(nil), tiers().report...) }
