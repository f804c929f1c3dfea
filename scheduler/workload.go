package scheduler

import (
	"github.com/heddle-ml/heddle/graph"
)

// Workload is what is to be planned: the graphs of a model by phase.
type Workload struct {
	Name    string
	Modules []Module
}

// Module is one graph of a workload.
type Module struct {
	// Name is the module's: "vision", "prefill", "decode".
	Name  string
	Graph *graph.Graph
	// Group joins modules that share state, and therefore a device: "llm" for
	// prefill and decode. Empty means the module's own name.
	Group string
	// Batch is the symbol whose values the planner chooses: "tiles" or
	// "chunk". Empty for a module that always runs whole.
	Batch string
	// Follow maps other symbols to how they are bound when shapes must be
	// static: a number of rows that is always 1, for instance.
	Follow map[string]int64
}

func (m *Module) group() string {
	if m.Group == "" {
		return m.Name
	}
	return m.Group
}

// Policy says what is wanted. The zero value lets the planner choose.
type Policy struct {
	// Devices lists device names in order of preference; empty or "auto"
	// means all open devices, accelerators first. Place overrides it for a
	// group or module: {"vision": ["vulkan:0"]}.
	Devices []string            `json:"devices,omitempty"`
	Place   map[string][]string `json:"place,omitempty"`
	// Deny lists devices that are never used.
	Deny []string `json:"deny,omitempty"`
	// Goal is what to optimise; empty means latency.
	Goal Goal `json:"goal,omitempty"`
	// Strict makes any departure from the first preference an error.
	Strict bool `json:"strict,omitempty"`
	// Static specialises every symbol, as devices with static shapes need, on
	// all devices.
	Static bool `json:"static,omitempty"`
	// TileBatch and Chunk fix the tiles of one vision run and the tokens of
	// one prefill run; 0 lets the planner choose.
	TileBatch int64 `json:"tile_batch,omitempty"`
	Chunk     int64 `json:"chunk,omitempty"`
	// SelfCheck has devices checked when they are opened (see hal.SelfCheck);
	// one that fails counts as one that cannot be opened.
	SelfCheck bool `json:"self_check,omitempty"`
	// MemoryBudget bounds the bytes of weights, states and scratch; 0 means
	// none.
	MemoryBudget int64 `json:"memory_budget,omitempty"`
}

// Goal is what a plan optimises.
type Goal string

// The goals.
const (
	Latency Goal = "latency"
	Memory  Goal = "memory"
	Energy  Goal = "energy"
)
