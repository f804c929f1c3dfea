package plugin

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/abi"
	"github.com/heddle-ml/heddle/hal/driver"
)

// capsLimit bounds a device's description, in bytes.
const capsLimit = 4 << 20

// readCaps asks the device what it can do. The note about its library is added.
func (d *device) readCaps(note string) (*driver.Caps, error) {
	args := &abi.CapsArgs{}
	text, err := fill("caps", 64<<10, capsLimit, &args.JSON, func() (abi.Status, error) {
		return callStatus(d, "caps", d.lib.table.Caps, d.handle, args)
	})
	if err != nil {
		return nil, err
	}
	c := new(driver.Caps)
	if err := json.Unmarshal(text, c); err != nil {
		return nil, nonsense("caps", "not the JSON of driver.Caps: %v", err)
	}
	if err := checkCaps(c); err != nil {
		return nil, nonsense("caps", "%v", err)
	}
	c.Notes = append(c.Notes, note)
	d.limit(c)
	return c, nil
}

// checkCaps refuses what the rest of the program could not work with.
func checkCaps(c *driver.Caps) error {
	switch {
	case !slices.Contains([]driver.Kind{driver.CPU, driver.GPU, driver.NPU, driver.Null}, c.Kind):
		return fmt.Errorf("kind %.40q: want cpu, gpu, npu or null", c.Kind)
	case c.Model == "":
		return fmt.Errorf("model is empty")
	case c.Fingerprint == "":
		return fmt.Errorf("fingerprint is empty: it tells chip, firmware and driver version apart in caches")
	case len(c.Heaps) == 0:
		return fmt.Errorf("heaps is empty: arguments of runs need memory")
	case c.Queues.Max < 0 || c.Limits.MaxNodes < 0 || c.Limits.MaxAllocation < 0 || c.Limits.OnChipBytes < 0 || c.Limits.Executables < 0:
		return fmt.Errorf("a limit is negative: 0 means that there is none")
	}
	for i, h := range c.Heaps {
		if h.Size < 0 || h.Align < 0 || h.Align > 1<<20 || h.Align&(h.Align-1) != 0 {
			return fmt.Errorf("heap %d %.40q has size %d and align %d: want a power of two", i, h.Name, h.Size, h.Align)
		}
	}
	for _, list := range [][]int64{c.Shapes.TileBatches, c.Shapes.Chunks} {
		if !slices.IsSorted(list) || len(list) > 0 && list[0] < 1 {
			return fmt.Errorf("preferred sizes %.10v are not positive and ascending", list)
		}
	}
	for _, o := range c.Ops {
		if o.Name == "" || o.MaxRank < 0 {
			return fmt.Errorf("an operator has name %.40q and rank %d", o.Name, o.MaxRank)
		}
		for _, e := range o.Elems {
			if _, err := enc.ParseElem(e); err != nil {
				return fmt.Errorf("operator %.40s: %w", o.Name, err)
			}
		}
	}
	return nil
}

// limit makes the caps say what the library and this driver together can do.
func (d *device) limit(c *driver.Caps) {
	t := &d.lib.table
	note := func(text string) { c.Notes = append(c.Notes, text) }
	// Each queue has a goroutine that calls the library.
	c.Queues.Async, c.Queues.Timestamps, c.Queues.Priorities = true, false, false
	for i := range c.Heaps {
		h := &c.Heaps[i]
		h.Align = max(h.Align, driver.PlaneAlign)
		h.Export = nil // the ABI has no export
		if len(h.Import) > 0 && t.ImportMemory == 0 {
			h.Import = nil
			note(fmt.Sprintf("heap %s: import is stated, but the library has no import_memory", h.Name))
		}
		if !h.HostVisible && (t.Copy == 0 || t.Fill == 0 || t.Upload == 0 || t.Download == 0) {
			note(fmt.Sprintf("heap %s: the host does not see it, and the library lacks some of copy, fill, upload, download", h.Name))
		}
	}
	version := fmt.Sprintf("C driver ABI %d.%d", t.ABIMajor, t.ABIMinor)
	if d.onnx {
		version += ", graphs as ONNX"
	}
	if d.serial {
		version += ", one call at a time"
	}
	note(version)
}
