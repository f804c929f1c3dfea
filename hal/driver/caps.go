package driver

import (
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Kind is the kind of a device.
type Kind string

// The kinds of devices.
const (
	CPU  Kind = "cpu"
	GPU  Kind = "gpu"
	NPU  Kind = "npu"
	Null Kind = "null" // computes nothing
)

// Caps says what a device can do: data, not code, so that a profile can stand
// for a device that is elsewhere. It marshals to JSON.
type Caps struct {
	Kind    Kind   `json:"kind"`
	Vendor  string `json:"vendor"`
	Model   string `json:"model"`
	Version string `json:"version"` // of the driver
	// Fingerprint changes when compiled code or measurements of the device
	// stop being valid: chip, firmware, SDK, driver version.
	Fingerprint string   `json:"fingerprint"`
	Ops         []OpCap  `json:"ops"`
	Shapes      ShapeCap `json:"shapes"`
	Heaps       []Heap   `json:"heaps"`
	Queues      QueueCap `json:"queues"`
	Limits      Limits   `json:"limits"`
	Numerics    Numerics `json:"numerics"`
	// Profiles are the conformance profiles that the vendor claims: "skeleton",
	// "vision", "language", "quantized", "multimodal". What a profile asks for
	// and the device refuses is then a failure, no longer a limitation.
	Profiles []string `json:"profiles,omitempty"`
	// Notes are lines for people: tiers in use, what was disabled and why.
	Notes []string `json:"notes,omitempty"`
}

// OpCap says that an operator is implemented, and for what.
type OpCap struct {
	Domain string `json:"domain,omitempty"`
	Name   string `json:"name"`
	// Elems are the element types of the first input.
	Elems []string `json:"elems"`
	// Encodings are those of weight operands besides plain, by prefix of
	// their text form: "as(f16)", "affine(i8", "Q4_0".
	Encodings []string `json:"encodings,omitempty"`
	MaxRank   int      `json:"max_rank,omitempty"` // 0: no limit
}

// ShapeCap says which shapes a device compiles.
type ShapeCap struct {
	// StaticOnly devices need every symbol specialised.
	StaticOnly bool `json:"static_only"`
	// TileBatches are preferred numbers of tiles for one run, ascending.
	TileBatches []int64 `json:"tile_batches,omitempty"`
	// Chunks are preferred lengths of a prefill chunk, ascending.
	Chunks []int64 `json:"chunks,omitempty"`
}

// Heap describes a kind of memory.
type Heap struct {
	Name string `json:"name"`
	// Size in bytes, 0 when unknown.
	Size int64 `json:"size"`
	// HostVisible memory has Bytes.
	HostVisible bool        `json:"host_visible"`
	Import      []ShareKind `json:"import,omitempty"`
	Export      []ShareKind `json:"export,omitempty"`
	// Align is the alignment of allocations in bytes.
	Align int64 `json:"align"`
}

// QueueCap describes queues.
type QueueCap struct {
	Max        int  `json:"max"` // 0: no limit
	Async      bool `json:"async"`
	Timestamps bool `json:"timestamps"`
	Priorities bool `json:"priorities"`
}

// Limits bounds what a device takes; 0 means no limit of its own.
type Limits struct {
	MaxNodes      int   `json:"max_nodes,omitempty"`
	MaxAllocation int64 `json:"max_allocation,omitempty"`
	OnChipBytes   int64 `json:"on_chip_bytes,omitempty"`
	Executables   int   `json:"executables,omitempty"`
}

// Numerics describes arithmetic.
type Numerics struct {
	Accumulate    string `json:"accumulate"` // element type of long sums
	FlushDenormal bool   `json:"flush_denormal"`
	// Deterministic: equal inputs give equal bits, run after run.
	Deterministic bool `json:"deterministic"`
	// ChecksIndices: a run fails when an operand points out of another, as
	// ONNX asks. Otherwise its results are anything, and nothing else is harmed.
	ChecksIndices bool `json:"checks_indices"`
}

// Op returns the capability for an operator.
func (c *Caps) Op(op graph.OpRef) (OpCap, bool) {
	i := slices.IndexFunc(c.Ops, func(o OpCap) bool { return o.Domain == op.Domain && o.Name == op.Name })
	if i < 0 {
		return OpCap{}, false
	}
	return c.Ops[i], true
}

// Elem reports whether the operator takes element type e.
func (o OpCap) Elem(e enc.Elem) bool { return slices.Contains(o.Elems, e.String()) }
