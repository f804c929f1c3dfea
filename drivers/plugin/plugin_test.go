package plugin_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/plugin"
	"github.com/heddle-ml/heddle/hal/driver"
)

func TestInfo(t *testing.T) {
	info := plugin.Driver{}.Info()
	require.Equal(t, "plugin", info.Name)
	require.True(t, info.Foreign, "so that it runs in a process of its own")
}

func TestProbe(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.so"), filepath.Join(dir, "b.so")
	require.NoError(t, os.WriteFile(a, []byte("never loaded"), 0o600))
	for _, tt := range []struct {
		env  string
		want []string
		err  string
	}{
		{"", nil, "name a library"},
		{a, []string{a}, ""},
		{a + ":" + b, []string{a}, ""},
		{":" + b + ":", nil, "no such file"},
		{dir, nil, "not a file"},
	} {
		t.Setenv(plugin.EnvPlugins, tt.env)
		found, err := plugin.Driver{}.Probe(ctx)
		if tt.err != "" {
			require.ErrorIs(t, err, driver.ErrUnavailable)
			require.ErrorContains(t, err, tt.err)
			continue
		}
		require.NoError(t, err)
		var ids []string
		for _, d := range found {
			ids = append(ids, d.ID)
			require.Equal(t, filepath.Base(d.ID), d.Model)
		}
		require.Equal(t, tt.want, ids)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.so")
	require.NoError(t, os.WriteFile(text, []byte("not a library"), 0o600))
	for _, tt := range []struct {
		id   string
		want []string
	}{
		{"", []string{"no library is named"}},
		{filepath.Join(dir, "absent.so"), []string{"absent.so", "no such file"}},
		{dir, []string{"not a file"}},
		{text, []string{"text.so"}},
		{mini(t, "-DTEST_MAJOR=7"), []string{"version 7.1", "version 0.1"}},
		{mini(t, "-DTEST_ENTRY=another_name"), []string{"does not export heddle_driver_get"}},
		{mini(t, "-DTEST_SIZE=8"), []string{"8 bytes"}},
		{mini(t, "-DTEST_SIZE=0xfffffff8u"), []string{"4294967288 bytes"}},
		{mini(t, "-DTEST_SIZE=80"), []string{"compile", "release", "run"}}, // eight functions
		{mini(t, "-DTEST_LACKS"), []string{"without functions", "compile", "run"}},
		{mini(t, "-DTEST_NULL"), []string{"address 0x0"}},
		{mini(t, "-DTEST_REFUSES"), []string{"no licence"}},
		{mini(t, "-DTEST_ABSENT"), []string{"the card is not in its slot"}},
		{mini(t) + "#2", []string{"device 2", "has 2 devices"}},
	} {
		_, err := plugin.Driver{}.Open(context.Background(), tt.id, driver.OpenOptions{})
		require.ErrorIs(t, err, driver.ErrUnavailable, tt.id)
		for _, w := range tt.want {
			require.ErrorContains(t, err, w)
		}
	}
}

// A library made for an earlier minor version has a shorter table: it lacks
// what it knows nothing of, and nothing else.
func TestOpenOlderMinorVersion(t *testing.T) {
	d, err := plugin.Driver{}.Open(context.Background(), mini(t, "-DTEST_SIZE=(16+8*11)" /* the required functions */), driver.OpenOptions{})
	require.NoError(t, err)
	_, ok := driver.As[driver.Cacher](d)
	require.False(t, ok)
	_, ok = driver.As[driver.Importer](d)
	require.False(t, ok)
	_, ok = driver.As[plugin.Profiler](d)
	require.False(t, ok)
	require.Empty(t, d.Caps().Heaps[0].Import, "what is stated and not there is not promised")
	r := newRunner(t, d, addition(t, []float32{1, 2}, 2), nil)
	in, _ := r.bufs[0].Bytes()
	copy(in, floats(10, 20))
	require.NoError(t, r.run())
	out, _ := r.bufs[1].Bytes()
	require.Zero(t, r.x.Footprint())
	require.Equal(t, floats(10, 20), out, "it adds only weights from files")
}

func TestOpenDevices(t *testing.T) {
	for _, number := range []string{"", "#0", "#1"} {
		d, err := plugin.Driver{}.Open(context.Background(), mini(t)+number, driver.OpenOptions{Threads: 2})
		require.NoError(t, err, number)
		require.NoError(t, d.Close())
	}
	odd := filepath.Join(t.TempDir(), "mini#1") // a name that looks like a device's number
	lib, err := os.ReadFile(mini(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(odd, lib, 0o700))
	d, err := plugin.Driver{}.Open(context.Background(), odd, driver.OpenOptions{})
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

func TestOptions(t *testing.T) {
	_, err := tryOpen(t, "colour", "blue")
	require.ErrorIs(t, err, driver.ErrUnsupported)
	require.ErrorContains(t, err, "unknown option")
	for _, bad := range []string{"", "5", "-1s", "0s", "soon"} {
		_, err = tryOpen(t, "timeout", bad)
		require.ErrorIs(t, err, driver.ErrUnsupported, bad)
	}
	d := open(t, "timeout", "1h")
	require.NotNil(t, d)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = plugin.Driver{}.Open(ended, mini(t), driver.OpenOptions{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestCaps(t *testing.T) {
	c := open(t).Caps()
	require.Equal(t, driver.NPU, c.Kind)
	require.Equal(t, "mini", c.Model)
	require.Equal(t, "mini-1", c.Fingerprint)
	require.True(t, c.Queues.Async)
	require.Contains(t, c.Notes, "C driver ABI 0.1")
	require.Contains(t, c.Notes, "library of test, version 1")
	require.Equal(t, "mini", open(t, "fault", "caps-long").Caps().Model, "more room is given when asked for")
}

// What a library answers when a device is opened is checked.
func TestOpenNonsense(t *testing.T) {
	for fault, want := range map[string]string{
		"caps-garbage": "JSON", "caps-empty": "kind", "caps-claims": "bytes in room of", "caps-greedy": "at most",
		"caps-insatiable": "asks for room", "caps-sulky": "asks for room", "caps-align": "power of two", "format": "graph format 9", "open": "no handle",
	} {
		_, err := tryOpen(t, "fault", fault)
		require.ErrorContains(t, err, want, fault)
		require.ErrorContains(t, err, "breaks the C driver ABI", fault)
	}
}
