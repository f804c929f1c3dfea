package hal

import (
	"slices"

	"github.com/heddle-ml/heddle/hal/driver"
)

// Share tells how one device reads what another wrote.
type Share string

// The ways, from free to dear.
const (
	Native  Share = "native" // the same memory
	Imports Share = "import" // the other's memory, imported once
	Copies  Share = "copy"   // through the host
)

// Edge describes an ordered pair of devices: data made on From, used on To.
type Edge struct {
	From, To string
	Share    Share
	// Kind is the way of importing, for Imports.
	Kind driver.ShareKind
	// HostWait tells that the wait passes through the host: To cannot wait on From's
	// timelines by itself.
	HostWait bool
	// Latency (seconds) and Bandwidth (bytes per second) of moving data over
	// the edge; 0 until measured.
	Latency, Bandwidth float64
}

// Topology returns the edge for each ordered pair of devices: edge i*n+j goes
// from device i to j. It needs no buffers, so that a planner can price an
// edge before there are any.
func Topology(devs []*Device) []Edge {
	out := make([]Edge, 0, len(devs)*len(devs))
	for _, a := range devs {
		for _, b := range devs {
			e := Edge{From: a.Name(), To: b.Name(), Share: Copies, HostWait: a != b}
			if a == b {
				e.Share = Native
			} else if k, ok := sharedKind(a.Caps(), b.Caps()); ok {
				e.Share, e.Kind = Imports, k
			}
			out = append(out, e)
		}
	}
	return out
}

func sharedKind(from, to *Caps) (driver.ShareKind, bool) {
	// Host pointers cost nothing, so they are tried first.
	for _, k := range []driver.ShareKind{driver.HostPtr, driver.DMABuf, driver.MemFD} {
		exports := slices.ContainsFunc(from.Heaps, func(h driver.Heap) bool { return slices.Contains(h.Export, k) })
		imports := slices.ContainsFunc(to.Heaps, func(h driver.Heap) bool { return slices.Contains(h.Import, k) })
		if exports && imports {
			return k, true
		}
	}
	return "", false
}
