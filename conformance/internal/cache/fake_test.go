package cache_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/fault"
	"github.com/heddle-ml/heddle/ops"
	"github.com/stretchr/testify/require"
)

// A fake is the CPU with a cache of its own: a blob is a head, a sum and the
// graph in its binary form, with constants; loading compiles it. A defect makes
// it wrong in one respect.
type fake struct {
	cpu.Driver
	defect string
}

func (f fake) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	d, err := f.Driver.Open(ctx, id, o)
	if err != nil {
		return nil, err
	}
	return &fakeDevice{Device: d, defect: f.defect, made: map[driver.Executable]*graph.Graph{}}, nil
}

type fakeDevice struct {
	driver.Device
	defect string
	mu     sync.Mutex
	made   map[driver.Executable]*graph.Graph
	loads  int
}

func (d *fakeDevice) Compile(ctx context.Context, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	x, err := d.Device.Compile(ctx, g, o)
	if err == nil {
		d.mu.Lock()
		d.made[x] = g
		d.mu.Unlock()
	}
	return x, err
}

// As adds the cache to what the CPU has.
func (d *fakeDevice) As(target any) (ok bool) {
	switch t := target.(type) {
	case *driver.Cacher:
		*t, ok = d, true
	case *driver.Importer:
		*t, ok = driver.As[driver.Importer](d.Device)
	case *driver.Exporter:
		*t, ok = driver.As[driver.Exporter](d.Device)
	}
	return ok
}

const head = "fake blob"

func (d *fakeDevice) Save(x driver.Executable) ([]byte, error) {
	d.mu.Lock()
	g := d.made[x]
	d.mu.Unlock()
	body, err := graph.Marshal(g)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return slices.Concat([]byte(d.head()), sum[:], body), nil
}

// head names what made the blob.
func (d *fakeDevice) head() string {
	if d.defect == "of this instance" {
		return fmt.Sprintf("%s %p ", head, d)[:len(head)+12]
	}
	return head + "            "
}

func (d *fakeDevice) Judge(blob []byte) driver.Compat {
	switch {
	case d.defect == "judges nothing good":
		return driver.Foreign
	case d.defect == "judges all good":
		return driver.Optimal
	}
	if _, err := d.body(blob); err != nil {
		return driver.Foreign
	}
	return driver.Usable
}

func (d *fakeDevice) body(blob []byte) ([]byte, error) {
	bad := driver.ErrIncompatible
	if d.defect == "untyped error" {
		bad = errors.New("bad blob")
	}
	n := len(d.head())
	if d.defect == "panics" {
		return blob[n+sha256.Size:], nil
	}
	if len(blob) < n+sha256.Size || string(blob[:n]) != d.head() {
		return nil, fmt.Errorf("no blob: %w", bad)
	}
	body := blob[n+sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], blob[n:n+sha256.Size]) && d.defect != "no sum" {
		return nil, fmt.Errorf("damaged: %w", bad)
	}
	return body, nil
}

func (d *fakeDevice) Load(ctx context.Context, blob []byte, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	d.mu.Lock()
	d.loads++
	n := d.loads
	d.mu.Unlock()
	body, err := d.body(blob)
	if err != nil {
		return nil, err
	}
	saved, err := graph.Unmarshal(body, ops.Standard)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, driver.ErrIncompatible)
	}
	if saved.Hash() != g.Hash() && d.defect != "any graph" && d.defect != "no sum" {
		return nil, fmt.Errorf("another graph: %w", driver.ErrIncompatible)
	}
	switch d.defect {
	case "writes to the blob":
		blob[len(blob)-1]++
	case "once":
		if n > 1 {
			return nil, errors.New("only once")
		}
	}
	return d.Compile(ctx, saved, o)
}

// Each defect of a cache fails at least the cases that are there for it.
func TestBad(t *testing.T) {
	for defect, want := range map[string][]string{
		"of this instance":    {"cache.reopen.linear", "cache.reopen.constant", "cache.reopen.cache"},
		"judges nothing good": {"cache.restore.linear", "cache.reopen.linear"},
		"judges all good":     {"cache.foreign.linear", "cache.foreign.cache"},
		"untyped error":       {"cache.truncated.linear", "cache.flipped.cache", "cache.extended.linear", "cache.foreign.constant"},
		"panics":              {"cache.truncated.linear", "cache.foreign.linear"},
		"no sum":              {"cache.flipped.constant"},
		"any graph":           {"cache.foreign.constant"},
		"writes to the blob":  {"cache.restore.linear"},
		"once":                {"cache.restore.linear", "cache.together.constant"},
	} {
		t.Run(defect, func(t *testing.T) {
			got := run(t, fake{defect: defect})
			for _, id := range want {
				require.Error(t, got[id], id)
			}
		})
	}
	for id, err := range run(t, fake{}) {
		require.NoError(t, err, id)
	}
}

// So do the faults that every driver can be given.
func TestFaults(t *testing.T) {
	got := run(t, fault.Driver(fake{}, fault.Fault{Kind: fault.CacheWrong}))
	for _, id := range []string{"cache.restore.linear", "cache.restore.cache", "cache.reopen.constant", "cache.together.linear"} {
		require.ErrorContains(t, got[id], "computes something else", id)
	}
	got = run(t, fault.Driver(fake{}, fault.Fault{Kind: fault.CacheAnything}))
	require.ErrorContains(t, got["cache.foreign.linear"], "as if it could be loaded")
}
