package hal_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/fault"
)

// cacheHome gives the test a cache directory of its own, and returns where
// results of self-checks are in it.
func cacheHome(t *testing.T) string {
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	t.Setenv("HOME", home)
	t.Setenv("LocalAppData", home)
	base, err := os.UserCacheDir()
	require.NoError(t, err)
	return filepath.Join(base, "heddle", "selfcheck")
}

func entries(t *testing.T, dir string) []string {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	return files
}

func openIn(t *testing.T, r *hal.Registry, name string) *hal.Device {
	d, err := r.Open(within(t), name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// marked is the CPU with another fingerprint, and a name of its own.
type marked struct {
	driver.Driver
	fingerprint string
}

func (m marked) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	d, err := m.Driver.Open(ctx, id, o)
	if err != nil {
		return nil, err
	}
	return markedDevice{d, m.fingerprint}, nil
}

type markedDevice struct {
	driver.Device
	fingerprint string
}

func (d markedDevice) Caps() *driver.Caps {
	c := *d.Device.Caps()
	c.Fingerprint = d.fingerprint
	return &c
}

func TestSelfCheckPasses(t *testing.T) {
	dir := cacheHome(t)
	d := openIn(t, hal.NewRegistry(cpu.Driver{}), "cpu")
	rep, err := hal.SelfCheck(within(t), d, hal.SelfCheckOptions{})
	require.NoError(t, err)
	require.Equal(t, "cpu", rep.Driver)
	require.Equal(t, d.Caps().Fingerprint, rep.Fingerprint)
	require.Equal(t, len(rep.Blocks), rep.Checked())
	require.GreaterOrEqual(t, rep.Checked(), 9)
	require.Empty(t, rep.Reason)
	require.False(t, rep.Cached)
	require.Len(t, entries(t, dir), 1)

	again, err := hal.SelfCheck(within(t), d, hal.SelfCheckOptions{})
	require.NoError(t, err)
	require.True(t, again.Cached)
	again.Cached = false
	require.Equal(t, rep, again)
	fresh, err := hal.SelfCheck(within(t), d, hal.SelfCheckOptions{Fresh: true})
	require.NoError(t, err)
	require.False(t, fresh.Cached)
	require.Len(t, entries(t, dir), 1)
}

// A device that fails is not opened again: by this registry, nor by a later
// process, until it passes.
func TestQuarantine(t *testing.T) {
	dir := cacheHome(t)
	ctx := within(t)
	// The first run of a convolution goes wrong, later ones are right.
	r := hal.NewRegistry(fault.Driver(cpu.Driver{}, fault.Fault{Kind: fault.Sign, Op: "Conv", Times: 1}))
	later := hal.NewRegistry(cpu.Driver{}) // the same driver in another process
	d := openIn(t, r, "cpu")
	rep, err := hal.SelfCheck(ctx, d, hal.SelfCheckOptions{})
	require.ErrorIs(t, err, hal.ErrQuarantined)
	require.ErrorContains(t, err, "cpu: self-check: it failed its self-check of ")
	require.ErrorContains(t, err, "convolution: run 1: output y: element ")
	require.Contains(t, rep.Reason, "convolution: ")
	require.Equal(t, "fail", rep.Blocks[len(rep.Blocks)-1].Status)
	require.NoError(t, d.Lost(), "it is open, for who wants it all the same")
	for _, x := range []*hal.Registry{r, later} {
		for _, name := range []string{"cpu", "cpu:0", "cpu?quarantine=1", "cpu?validate=1"} {
			_, err = x.Open(ctx, name)
			require.ErrorIs(t, err, hal.ErrQuarantined, name)
			require.ErrorContains(t, err, rep.Reason)
			require.ErrorContains(t, err, "--self-check")
		}
	}
	_, err = r.Open(ctx, "cpu?quarantine=maybe")
	require.ErrorIs(t, err, hal.ErrInvalidArgument)

	// What was found once is found again, without a run.
	d = openIn(t, later, "cpu?quarantine=0")
	rep, err = hal.SelfCheck(ctx, d, hal.SelfCheckOptions{})
	require.ErrorIs(t, err, hal.ErrQuarantined)
	require.True(t, rep.Cached)
	// Another version of the driver is another device.
	openIn(t, hal.NewRegistry(marked{Driver: cpu.Driver{}, fingerprint: "cpu of tomorrow"}), "cpu")

	// Who passes is free: here, and, by what is in the directory, anywhere.
	rep, err = hal.SelfCheck(ctx, openIn(t, r, "cpu?quarantine=0"), hal.SelfCheckOptions{Fresh: true})
	require.NoError(t, err)
	require.Empty(t, rep.Reason)
	openIn(t, r, "cpu")
	openIn(t, hal.NewRegistry(cpu.Driver{}), "cpu")
	require.Len(t, entries(t, dir), 1)
}

func TestSelfCheckDirectories(t *testing.T) {
	standard := cacheHome(t)
	ctx := within(t)
	bad := func() *hal.Registry {
		return hal.NewRegistry(fault.Driver(cpu.Driver{}, fault.Fault{Kind: fault.NoOutput}))
	}
	check := func(r *hal.Registry, o hal.SelfCheckOptions) *hal.SelfCheckReport {
		rep, err := hal.SelfCheck(ctx, openIn(t, r, "cpu?quarantine=0"), o)
		require.ErrorIs(t, err, hal.ErrQuarantined)
		return rep
	}
	own := filepath.Join(t.TempDir(), "a", "b")
	check(bad(), hal.SelfCheckOptions{Dir: own})
	require.Len(t, entries(t, own), 1)
	openIn(t, bad(), "cpu") // looks into the standard directory only
	require.True(t, check(bad(), hal.SelfCheckOptions{Dir: own}).Cached)

	r := bad()
	check(r, hal.SelfCheckOptions{Dir: "-"})
	_, err := r.Open(ctx, "cpu")
	require.ErrorIs(t, err, hal.ErrQuarantined)
	require.False(t, check(bad(), hal.SelfCheckOptions{Dir: "-"}).Cached)
	require.Empty(t, entries(t, standard))

	// Where nothing can be written the check is made each time.
	blocked := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	check(bad(), hal.SelfCheckOptions{Dir: blocked})
	require.False(t, check(bad(), hal.SelfCheckOptions{Dir: blocked}).Cached)

	// Whatever is in a file, it is no more than a result that is missing.
	file := entries(t, own)[0]
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	for name, content := range map[string]string{
		"empty": "", "truncated": string(good[:len(good)/2]), "binary": "\x00\xff\x00", "null": "null", "list": "[1, 2]",
		"of another device": strings.Replace(string(good), `"driver": "cpu"`, `"driver": "gpu"`, 1),
		"of other blocks":   strings.Replace(string(good), `"revision": `, `"revision": 9`, 1),
		"without results":   `{"driver": "cpu"}`,
		"huge":              string(good) + strings.Repeat(" ", 2<<20),
	} {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		require.False(t, check(bad(), hal.SelfCheckOptions{Dir: own}).Cached, name)
		require.True(t, check(bad(), hal.SelfCheckOptions{Dir: own}).Cached, "%s: it was written anew", name)
	}
	require.Len(t, entries(t, own), 1, "no temporary files are left")
}

func TestSelfCheckOfDevicesThatBreak(t *testing.T) {
	cacheHome(t)
	for _, c := range []struct {
		kind   fault.Kind
		reason string
		lost   bool
	}{
		{fault.Lost, "product: run 1: fault lost", true},
		{fault.Panic, "the driver panicked", false},
		{fault.PanicCompile, "the driver panicked", false},
		{fault.RefuseSubmit, "product: run 1: fault refuse-submit", false},
	} {
		r := hal.NewRegistry(fault.Driver(marked{Driver: cpu.Driver{}, fingerprint: string(c.kind)}, fault.Fault{Kind: c.kind}))
		d := openIn(t, r, "cpu")
		rep, err := hal.SelfCheck(within(t), d, hal.SelfCheckOptions{})
		require.ErrorIs(t, err, hal.ErrQuarantined)
		require.Contains(t, rep.Reason, c.reason)
		require.Equal(t, c.lost, d.Lost() != nil)
		_, err = r.Open(within(t), "cpu")
		require.ErrorIs(t, err, hal.ErrQuarantined)
	}
}

// A device that hangs does not hang the check. That it did not answer in time
// is no property of it: the next process tries again.
func TestSelfCheckOfDevicesThatHang(t *testing.T) {
	dir := cacheHome(t)
	for _, kind := range []fault.Kind{fault.HangCompile, fault.Hang, fault.NeverSignal} {
		r := hal.NewRegistry(fault.Driver(cpu.Driver{}, fault.Fault{Kind: kind}))
		d := openIn(t, r, "cpu")
		start := time.Now()
		rep, err := hal.SelfCheck(within(t), d, hal.SelfCheckOptions{Timeout: 50 * time.Millisecond})
		require.Less(t, time.Since(start), 10*time.Second)
		require.ErrorIs(t, err, hal.ErrQuarantined)
		require.Equal(t, "no answer within 50ms", rep.Reason)
		_, err = r.Open(within(t), "cpu")
		require.ErrorIs(t, err, hal.ErrQuarantined)
		rep, err = hal.SelfCheck(within(t), d, hal.SelfCheckOptions{})
		require.ErrorIs(t, err, hal.ErrQuarantined, "once is enough")
		require.Equal(t, "no answer within 50ms", rep.Reason)
		require.Empty(t, entries(t, dir))
		openIn(t, hal.NewRegistry(cpu.Driver{}), "cpu")
	}
}

func TestSelfCheckWithoutAResult(t *testing.T) {
	dir := cacheHome(t)
	// A device that computes nothing has nothing to be wrong in.
	rep, err := hal.SelfCheck(within(t), openIn(t, hal.NewRegistry(null.Driver{}), "null"), hal.SelfCheckOptions{})
	require.NoError(t, err)
	require.Zero(t, rep.Checked())

	// So has one that takes none of the blocks.
	d := openIn(t, hal.NewRegistry(fault.Driver(cpu.Driver{}, fault.Fault{Kind: fault.Overclaim})), "cpu")
	rep, err = hal.SelfCheck(within(t), d, hal.SelfCheckOptions{})
	require.NoError(t, err)
	require.Zero(t, rep.Checked())
	require.Len(t, rep.Blocks, 9)
	for _, b := range rep.Blocks {
		require.Equal(t, "unsupported", b.Status)
		require.Contains(t, b.Detail, "not this time")
	}

	d = openIn(t, hal.NewRegistry(cpu.Driver{}), "cpu")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = hal.SelfCheck(ctx, d, hal.SelfCheckOptions{})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, hal.ErrQuarantined)
	require.NoError(t, d.Close())
	_, err = hal.SelfCheck(within(t), d, hal.SelfCheckOptions{})
	require.ErrorIs(t, err, hal.ErrClosed)
	require.Empty(t, entries(t, dir))
}

// Devices opened by hand have no registry that would refuse them.
func TestSelfCheckOfWrappedDevices(t *testing.T) {
	dir := cacheHome(t)
	for range 2 {
		in, err := fault.Driver(cpu.Driver{}, fault.Fault{Kind: fault.Tail}).Open(within(t), "0", driver.OpenOptions{})
		require.NoError(t, err)
		d := hal.Wrap("mine", in)
		_, err = hal.SelfCheck(within(t), d, hal.SelfCheckOptions{})
		require.ErrorIs(t, err, hal.ErrQuarantined)
		require.NoError(t, d.Close())
	}
	require.Len(t, entries(t, dir), 1)
}

func TestSelfChecksAtOnce(t *testing.T) {
	dir := cacheHome(t)
	d := openIn(t, hal.NewRegistry(cpu.Driver{}), "cpu")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if rep, err := hal.SelfCheck(context.Background(), d, hal.SelfCheckOptions{Fresh: true}); err != nil || rep.Checked() == 0 {
				t.Error(rep, err)
			}
		})
	}
	wg.Wait()
	require.Len(t, entries(t, dir), 1)
}
