package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/tools/heddle/internal/tty"
)

func (a *app) devicesCommand() *cobra.Command {
	var asJSON, check bool
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List drivers and devices, or why they are not there",
		Long: `Lists every driver of this program, found or why not, and every device: its kind,
memory, limits, the weight encodings that it takes, and what it lacks. The names
are those that --device takes.

With --self-check small blocks of models run on each device and are compared with
the reference. A device that fails is quarantined: no program of this user opens
it, until its driver changes or it passes.`,
		Example: `  heddle devices
  heddle devices --self-check
  heddle devices --json`,
		Args: atMost(0),
		RunE: a.action(func(ctx context.Context, _ []string) error { return a.devices(ctx, asJSON, check) }),
	}
	cmd.Flags().BoolVar(&check, "self-check", false, "check each device, also those in quarantine")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// driverReport is a driver in output.
type driverReport struct {
	Name    string `json:"name"`
	Vendor  string `json:"vendor"`
	Version string `json:"version"`
	Summary string `json:"summary"`
	// Status is "found", "missing" when the machine has no such device, or
	// "failed".
	Status  string         `json:"status"`
	Reason  string         `json:"reason"`
	Devices []deviceReport `json:"devices"`
}

// deviceReport is a device in output.
type deviceReport struct {
	Name   string `json:"name"` // as --device takes it
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	Vendor string `json:"vendor,omitempty"`
	Model  string `json:"model"`
	// Status is "ready", "quarantined" or "failed", these two with the reason.
	Status    string          `json:"status"`
	Reason    string          `json:"reason,omitempty"`
	Version   string          `json:"version,omitempty"`
	Memory    []driver.Heap   `json:"memory"`
	Limits    driver.Limits   `json:"limits"`
	Shapes    driver.ShapeCap `json:"shapes"`
	Queues    driver.QueueCap `json:"queues"`
	Numerics  driver.Numerics `json:"numerics"`
	Operators int             `json:"operators"`
	Encodings []string        `json:"encodings"`
	Lacks     []string        `json:"lacks"` // operators of this program that it has not
	Notes     []string        `json:"notes"`
	// SelfCheck is there if it was asked for and made.
	SelfCheck *hal.SelfCheckReport `json:"self_check,omitempty"`
}

// openLimit bounds how long opening a device may take: firmware may load, but
// a list must come.
const openLimit = 20 * time.Second

func (a *app) devices(ctx context.Context, asJSON, check bool) error {
	reports := []driverReport{}
	for _, r := range a.env.Registry.Devices(ctx) {
		d := driverReport{Name: r.Name, Vendor: r.Vendor, Version: r.Version, Summary: r.Summary, Status: "found", Devices: []deviceReport{}}
		if r.Err != nil {
			d.Status, d.Reason = "failed", tty.OneLine(reason(r.Err))
			if hal.IsUnavailable(r.Err) {
				d.Status = "missing"
			}
		}
		for _, dev := range r.Devices {
			d.Devices = append(d.Devices, a.device(ctx, r.Name, dev, check))
		}
		reports = append(reports, d)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if asJSON {
		return a.json(struct {
			Drivers []driverReport `json:"drivers"`
		}{reports})
	}
	for i, d := range reports {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		if err := a.printDriver(&d); err != nil {
			return err
		}
	}
	return nil
}

// reason returns what a driver said, without who said it.
func reason(err error) string {
	var e *hal.Error
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}

// device opens a device to see what it can do, and has it checked.
func (a *app) device(ctx context.Context, drv string, info driver.DeviceInfo, check bool) (r deviceReport) {
	r = deviceReport{Name: drv, ID: info.ID, Kind: string(info.Kind), Model: info.Model, Status: "ready",
		Memory: []driver.Heap{}, Encodings: []string{}, Lacks: []string{}, Notes: []string{}}
	if info.ID != "0" {
		r.Name += ":" + info.ID
	}
	name := drv + ":" + info.ID
	if check {
		name += "?quarantine=0"
	}
	opening, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	d, err := a.env.Registry.Open(opening, name)
	if err != nil {
		r.Status, r.Reason = "failed", tty.OneLine(reason(err))
		if errors.Is(err, hal.ErrQuarantined) {
			r.Status = "quarantined"
		}
		return r
	}
	defer func() {
		if err := d.Close(); err != nil {
			r.Notes = append(r.Notes, "it does not close: "+tty.OneLine(reason(err)))
		}
	}()
	c := d.Caps()
	r.Vendor, r.Version = c.Vendor, c.Version
	r.Memory = append(r.Memory, c.Heaps...)
	r.Limits, r.Shapes, r.Queues, r.Numerics = c.Limits, c.Shapes, c.Queues, c.Numerics
	r.Operators = len(c.Ops)
	r.Notes = append(r.Notes, c.Notes...)
	seen := map[string]bool{}
	for _, o := range c.Ops {
		for _, e := range o.Encodings {
			e = strings.TrimSuffix(e, "(") // the beginning of a form with details
			if !seen[e] {
				seen[e] = true
				r.Encodings = append(r.Encodings, e)
			}
		}
	}
	for _, o := range ops.List() {
		if _, ok := c.Op(o.Ref); !ok {
			r.Lacks = append(r.Lacks, o.Ref.String())
		}
	}
	if check {
		r.check(ctx, d)
	}
	return r
}

// check has a device checked, whatever was found before.
func (r *deviceReport) check(ctx context.Context, d *hal.Device) {
	var err error
	if r.SelfCheck, err = hal.SelfCheck(ctx, d, hal.SelfCheckOptions{Fresh: true}); err == nil {
		return
	}
	r.Status, r.Reason = "failed", tty.OneLine(reason(err))
	if errors.Is(err, hal.ErrQuarantined) {
		r.Status = "quarantined"
	}
}

func (a *app) printDriver(d *driverReport) error {
	w := a.out
	status := w.Green(d.Status)
	if d.Status != "found" {
		status = w.Red(d.Status)
		if d.Reason != "" {
			status += ": " + d.Reason
		}
	}
	fmt.Fprintf(w, "%s  %s  %s\n", w.Bold(d.Name), d.Summary, status)
	for _, x := range d.Devices {
		fmt.Fprintf(w, "  %s  %s, %s", w.Bold(x.Name), x.Kind, x.Model)
		if x.Status != "ready" {
			fmt.Fprintf(w, "  %s: %s\n", w.Red(x.Status), x.Reason)
			continue
		}
		fmt.Fprintln(w)
		t := &tty.Table{Indent: "    "}
		row := func(name, text string) {
			if text != "" {
				for i, line := range wrap(text, w.Width()-18) {
					if i > 0 {
						name = ""
					}
					t.Row(w.Dim(name), line)
				}
			}
		}
		for _, h := range x.Memory {
			row("memory", heapText(h))
		}
		row("limits", limitsText(x.Limits))
		row("shapes", shapesText(x.Shapes))
		row("numerics", numericsText(x.Numerics))
		row("encodings", strings.Join(x.Encodings, ", "))
		ops := fmt.Sprintf("%d", x.Operators)
		if len(x.Lacks) == 0 {
			ops += ", all that this program knows"
		}
		row("operators", ops)
		row("lacks", strings.Join(x.Lacks, ", "))
		if x.SelfCheck != nil {
			row("self-check", selfCheckText(x.SelfCheck))
		}
		for _, n := range x.Notes {
			row("note", n)
		}
		if err := t.Write(w); err != nil {
			return err
		}
	}
	return nil
}

// wrap breaks text at blanks to lines of at most width characters; a width of
// 0 or less keeps it whole.
func wrap(text string, width int) []string {
	if width <= 0 {
		return []string{text}
	}
	var out []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			out = append(out, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(out, line)
}

// selfCheckText says how a check went that did not fail.
func selfCheckText(r *hal.SelfCheckReport) string {
	if r.Checked() == 0 {
		return "there is nothing that could be compared"
	}
	text := fmt.Sprintf("%s right in %s", tty.Plural(r.Checked(), "block"), tty.Duration(time.Duration(r.Seconds*float64(time.Second))))
	var left []string
	for _, b := range r.Blocks {
		if b.Status == "unsupported" {
			left = append(left, fmt.Sprintf("%s (%s)", b.Name, b.Detail))
		}
	}
	if left != nil {
		text += "; not taken: " + strings.Join(left, ", ")
	}
	return text
}

func heapText(h driver.Heap) string {
	text := h.Name
	if h.Size > 0 {
		text += ", " + tty.Bytes(h.Size)
	}
	if h.HostVisible {
		text += ", host visible"
	}
	if h.Align > 1 {
		text += fmt.Sprintf(", aligned to %d", h.Align)
	}
	return text
}

func limitsText(l driver.Limits) string {
	var out []string
	add := func(n int64, text string) {
		if n > 0 {
			out = append(out, text)
		}
	}
	add(l.MaxAllocation, "allocations up to "+tty.Bytes(l.MaxAllocation))
	add(int64(l.MaxNodes), fmt.Sprintf("graphs up to %d nodes", l.MaxNodes))
	add(l.OnChipBytes, tty.Bytes(l.OnChipBytes)+" on chip")
	add(int64(l.Executables), fmt.Sprintf("%d executables", l.Executables))
	if out == nil {
		return "none of its own"
	}
	return strings.Join(out, ", ")
}

func shapesText(s driver.ShapeCap) string {
	text := "any"
	if s.StaticOnly {
		text = "static only"
	}
	if len(s.TileBatches) > 0 {
		text += fmt.Sprintf(", tile batches of %s", numbers(s.TileBatches))
	}
	if len(s.Chunks) > 0 {
		text += fmt.Sprintf(", chunks of %s", numbers(s.Chunks))
	}
	return text
}

func numbers(ns []int64) string {
	words := make([]string, len(ns))
	for i, n := range ns {
		words[i] = fmt.Sprint(n)
	}
	return strings.Join(words, ", ")
}

func numericsText(n driver.Numerics) string {
	var out []string
	if n.Accumulate != "" {
		out = append(out, "sums in "+n.Accumulate)
	}
	if n.FlushDenormal {
		out = append(out, "denormals are flushed")
	}
	if n.Deterministic {
		out = append(out, "the same bits run after run")
	}
	return strings.Join(out, ", ")
}
