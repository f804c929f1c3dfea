package suite

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/heddle-ml/heddle/conformance/internal/tol"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Env is what a case runs in. One goroutine, except where said.
type Env struct {
	// ID is the case's; Seed draws the inputs of cases that vary them.
	ID   string
	Seed uint64
	// Driver is the driver under test as it was given, Registry holds it with
	// validation around.
	Driver   driver.Driver
	Registry *hal.Registry
	// Name is the device's, as Registry.Open takes it.
	Name string
	// Device is the device under test, shared with other cases. A case that
	// breaks devices opens one of its own.
	Device *hal.Device
	Caps   *hal.Caps
	// ONNX is the folder of the ONNX project's cases, "" if there is none.
	ONNX string

	mu    sync.Mutex
	stats *tol.Stats
	notes []string
	form  string
}

// Open opens another device of the driver, with further options such as
// "threads=1".
func (e *Env) Open(ctx context.Context, options ...string) (*hal.Device, error) {
	name := e.Name
	if len(options) > 0 {
		sep := "?"
		if strings.Contains(name, "?") {
			sep = "&"
		}
		name += sep + strings.Join(options, "&")
	}
	return e.Registry.Open(ctx, name)
}

// Rand returns a generator that depends on the case, the seed and n alone.
func (e *Env) Rand(n int) *rand.Rand { return random(e.ID, e.Seed+uint64(n)) }

func random(id string, n uint64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(id))
	return rand.New(rand.NewPCG(h.Sum64(), n))
}

// Measured records an error that was measured, within its limit or not. Safe
// for concurrent use.
func (e *Env) Measured(s tol.Stats) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stats == nil {
		e.stats = &s
		return
	}
	e.stats.Merge(s)
}

// Stats returns what was measured, nil if nothing was.
func (e *Env) Stats() *tol.Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}

// Note records a line for the report: a figure, or what was left out. Safe
// for concurrent use.
func (e *Env) Note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

// Notes returns the lines recorded.
func (e *Env) Notes() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.notes
}

// Form returns "decomposed" if the device was given simpler operators than the
// case is about, else "".
func (e *Env) Form() string { return e.form }
