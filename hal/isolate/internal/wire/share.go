package wire

import (
	"slices"

	"github.com/heddle-ml/heddle/hal/driver"
)

// ShareKind tells how a device takes memory that the client made: both sides
// decide by the same rule. It is false for a heap that the host does not see
// or that takes no memory of others: then tensors are copied.
func ShareKind(h *driver.Heap) (driver.ShareKind, bool) {
	if !h.HostVisible {
		return "", false
	}
	return FileKind(h)
}

// FileKind tells how a heap imports a memory file.
func FileKind(h *driver.Heap) (driver.ShareKind, bool) {
	for _, k := range [...]driver.ShareKind{driver.HostPtr, driver.MemFD} {
		if slices.Contains(h.Import, k) {
			return k, true
		}
	}
	return "", false
}
