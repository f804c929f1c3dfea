package lifecycle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
)

func capsCases() []suite.Case {
	return []suite.Case{
		skeleton("caps.valid", valid),
		skeleton("caps.operators", operators),
		skeleton("caps.json", capsJSON),
		skeleton("caps.constant", constant),
	}
}

// valid checks every field but the operators.
func valid(_ context.Context, e *suite.Env) error {
	c := e.Caps
	for what, s := range map[string]string{"kind": string(c.Kind), "vendor": c.Vendor, "model": c.Model, "version": c.Version, "fingerprint": c.Fingerprint} {
		if strings.TrimSpace(s) == "" {
			return fmt.Errorf("the capabilities have no %s", what)
		}
	}
	if len(c.Heaps) == 0 {
		return fmt.Errorf("the capabilities list no heap")
	}
	names := map[string]bool{}
	for i, h := range c.Heaps {
		if h.Name == "" || names[h.Name] || h.Size < 0 || h.Align < 1 || h.Align&(h.Align-1) != 0 {
			return fmt.Errorf("heap %d: name %q, %d bytes, alignment %d: want a name of its own, no negative size and a power of two", i, h.Name, h.Size, h.Align)
		}
		names[h.Name] = true
		for _, list := range [][]driver.ShareKind{h.Import, h.Export} {
			for _, k := range list {
				if !slices.Contains([]driver.ShareKind{driver.HostPtr, driver.MemFD, driver.DMABuf}, k) {
					return fmt.Errorf("heap %q shares by %q, which is no way to share", h.Name, k)
				}
			}
		}
	}
	l := c.Limits
	if l.MaxNodes < 0 || l.MaxAllocation < 0 || l.OnChipBytes < 0 || l.Executables < 0 || c.Queues.Max < 0 {
		return fmt.Errorf("a limit is negative: %+v, %d queues", l, c.Queues.Max)
	}
	for what, list := range map[string][]int64{"tile batches": c.Shapes.TileBatches, "chunks": c.Shapes.Chunks} {
		for i, n := range list {
			if n < 1 || i > 0 && n <= list[i-1] {
				return fmt.Errorf("the preferred %s are %v: want an ascending list of positive numbers", what, list)
			}
		}
	}
	if a := c.Numerics.Accumulate; a != "" {
		if _, err := enc.ParseElem(a); err != nil {
			return fmt.Errorf("sums are said to be accumulated in %q: %w", a, err)
		}
	}
	seen := map[string]bool{}
	for _, p := range c.Profiles {
		if _, err := suite.ParseProfile(p); err != nil || seen[p] {
			return fmt.Errorf("the profiles claimed are %v: %q is none, or there twice", c.Profiles, p)
		}
		seen[p] = true
	}
	if lost := e.Device.Lost(); lost != nil {
		return fmt.Errorf("the device is lost: %w", lost)
	}
	return nil
}

// operators checks what is claimed of them: operators that there are, element
// types that they take, encodings that can be read.
func operators(_ context.Context, e *suite.Env) error {
	seen := map[string]bool{}
	for _, o := range e.Caps.Ops {
		name := graph.OpRef{Domain: o.Domain, Name: o.Name}.String()
		op := ops.Get(o.Domain, o.Name)
		switch {
		case op == nil:
			return fmt.Errorf("the operator %s is claimed, which there is not", name)
		case seen[name]:
			return fmt.Errorf("the operator %s is listed twice", name)
		case o.MaxRank < 0 || o.MaxRank > graph.MaxRank:
			return fmt.Errorf("the operator %s is claimed for up to %d dimensions; there are at most %d", name, o.MaxRank, graph.MaxRank)
		case len(op.Inputs) > 0 && len(o.Elems) == 0:
			return fmt.Errorf("the operator %s is claimed for no element type", name)
		}
		seen[name] = true
		types := map[string]bool{}
		taken := len(op.Inputs) == 0
		for _, t := range o.Elems {
			elem, err := enc.ParseElem(t)
			if err != nil || types[t] {
				return fmt.Errorf("the operator %s is claimed for the types %v: %q is none, or there twice", name, o.Elems, t)
			}
			types[t] = true
			taken = taken || op.Inputs[0].Types.Has(elem)
		}
		if !taken {
			return fmt.Errorf("the operator %s is claimed for the types %v, none of which its first input can be", name, o.Elems)
		}
		for _, p := range o.Encodings {
			if !prefixes(p) {
				return fmt.Errorf("the operator %s is claimed for weights %q..., with which no encoding begins", name, p)
			}
		}
	}
	return nil
}

// prefixes reports whether an encoding's text begins with p.
func prefixes(p string) bool {
	var all []string
	for _, e := range enc.Elems() {
		all = append(all, enc.As(e).String())
		for _, scale := range []enc.Elem{enc.F32, enc.F16, enc.BF16} {
			all = append(all, enc.Encoding{Kind: enc.Affine, Store: e, Scale: scale, Axis: -1}.String())
		}
	}
	for _, f := range enc.Formats() {
		all = append(all, enc.GGUF(f, 0).String())
	}
	if _, err := enc.Parse(p); err == nil {
		return true
	}
	return p != "" && slices.ContainsFunc(all, func(s string) bool {
		return strings.HasPrefix(s, p) || strings.HasPrefix(p, strings.TrimSuffix(s, ")"))
	})
}

// capsJSON writes the capabilities and reads them back.
func capsJSON(_ context.Context, e *suite.Env) error {
	first, err := json.Marshal(e.Caps)
	if err != nil {
		return fmt.Errorf("the capabilities cannot be written: %w", err)
	}
	var back hal.Caps
	if err := json.Unmarshal(first, &back); err != nil {
		return fmt.Errorf("the capabilities cannot be read back: %w", err)
	}
	again, err := json.Marshal(&back)
	if err != nil {
		return err
	}
	if !bytes.Equal(first, again) {
		return fmt.Errorf("the capabilities were written as %d bytes, and once read back as %d others", len(first), len(again))
	}
	return nil
}

// constant compares the capabilities over time and between devices.
func constant(ctx context.Context, e *suite.Env) error {
	// Notes are for people, and may speak of one device: its process, its
	// temperature.
	form := func(c *hal.Caps) ([]byte, error) {
		plain := *c
		plain.Notes = nil
		return json.Marshal(&plain)
	}
	first, err := form(e.Caps)
	if err != nil {
		return err
	}
	same := func(what string, c *hal.Caps) error {
		now, err := form(c)
		if err != nil || bytes.Equal(first, now) {
			return err
		}
		at := 0
		for at < len(first) && at < len(now) && first[at] == now[at] {
			at++
		}
		at = max(0, at-60)
		return fmt.Errorf("%s the capabilities are not what they were: %.160s instead of %.160s", what, now[min(at, len(now)):], first[min(at, len(first)):])
	}
	if err := works(ctx, e.Device); err != nil {
		return err
	}
	if err := same("after a run", e.Device.Caps()); err != nil {
		return err
	}
	for i := range 3 {
		if err := onAnother(ctx, e, func(d *hal.Device, dd driver.Device) error {
			if err := same("opened again,", d.Caps()); err != nil {
				return err
			}
			return same("asked again,", dd.Caps())
		}); err != nil {
			return fmt.Errorf("opening %d: %w", i+1, err)
		}
	}
	return nil
}
