package models

import (
	"fmt"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/scheduler"
)

// Options configure Open. The zero value is the default.
type Options struct {
	// Registry holds the drivers; nil means hal.Default.
	Registry *hal.Registry
	// Policy chooses devices, tile batch and chunk.
	Policy scheduler.Policy
	// Plan, if not nil, is used instead of making one under Policy; Context
	// and Modules must be what it was made with.
	Plan *scheduler.Plan
	// Context is the longest conversation in tokens; 0 means the model's own
	// limit, but at most 4096.
	Context int
	// Modules limits what is compiled, for tools that need a part only:
	// "vision", "llm". Empty means all.
	Modules []string
}

func (o *Options) registry() *hal.Registry {
	if o.Registry != nil {
		return o.Registry
	}
	return hal.Default
}

func (o *Options) validate() error {
	if o.Context < 0 {
		return fmt.Errorf("models: a context of %d tokens; want a positive number, or 0 for the model's own", o.Context)
	}
	if p := o.Policy; p.Chunk < 0 || p.TileBatch < 0 || p.MemoryBudget < 0 {
		return fmt.Errorf("models: a policy with chunk %d, tile batch %d and memory budget %d; want positive numbers, or 0 to let the planner choose", p.Chunk, p.TileBatch, p.MemoryBudget)
	}
	for _, name := range o.Modules {
		if name != moduleVision && name != groupLLM {
			return fmt.Errorf("models: there is no module %q; want %s or %s", name, moduleVision, groupLLM)
		}
	}
	return nil
}
