package hal_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

func TestRegister(t *testing.T) {
	r := hal.NewRegistry(newFake("b"), newFake("a"))
	r.Register(newFake("c-1"))
	require.Equal(t, []string{"a", "b", "c-1"}, r.Names(), "sorted")
	require.PanicsWithValue(t, `hal: driver "b" is registered twice`, func() { r.Register(newFake("b")) })
	for _, bad := range []string{"", "a:b", "a?b", "a b", "a,b", "a=b"} {
		require.PanicsWithValue(t, fmt.Sprintf("hal: %q is not a driver name", bad), func() { r.Register(newFake(bad)) })
	}
	require.Equal(t, []string{"a", "b", "c-1"}, r.Names(), "what panicked was not added")
	require.Empty(t, hal.NewRegistry().Names())
	d, ok := r.Driver("c-1")
	require.True(t, ok)
	require.Equal(t, "c-1", d.Info().Name)
	_, ok = r.Driver("c-2")
	require.False(t, ok)
}

func TestDevices(t *testing.T) {
	absent := newFake("absent")
	absent.probe = func(context.Context) ([]driver.DeviceInfo, error) {
		return nil, fmt.Errorf("libvendor.so is not installed: %w", driver.ErrUnavailable)
	}
	empty := newFake("empty")
	empty.probe = func(context.Context) ([]driver.DeviceInfo, error) { return nil, nil }
	panics := newFake("panics")
	panics.probe = func(context.Context) ([]driver.DeviceInfo, error) { panic("no GPU for you") }
	muddled := newFake("muddled")
	muddled.probe = func(context.Context) ([]driver.DeviceInfo, error) {
		return []driver.DeviceInfo{{ID: "0"}}, errors.New("half broken")
	}
	reports := hal.NewRegistry(newFake("works"), panics, empty, absent, muddled).Devices(within(t))
	require.Len(t, reports, 5)
	byName := map[string]hal.DriverReport{}
	for i, rep := range reports {
		byName[rep.Name] = rep
		require.Equal(t, "test", rep.Vendor, "what Info says is there even when probing fails")
		if i > 0 {
			require.Less(t, reports[i-1].Name, rep.Name, "sorted")
		}
	}
	require.NoError(t, byName["works"].Err)
	require.Len(t, byName["works"].Devices, 2)
	for name, text := range map[string]string{
		"absent": "libvendor.so is not installed", "empty": "no devices", "panics": "no GPU for you",
	} {
		rep := byName[name]
		require.True(t, hal.IsUnavailable(rep.Err), "%s: %v", name, rep.Err)
		require.ErrorContains(t, rep.Err, text)
		require.ErrorContains(t, rep.Err, name+": probe: ")
		require.Nil(t, rep.Devices)
	}
	require.ErrorContains(t, byName["muddled"].Err, "half broken")
	require.Nil(t, byName["muddled"].Devices, "an error means that there are none")
}

func TestDevicesDoNotWaitForAHangingDriver(t *testing.T) {
	hangs := newFake("hangs")
	release := make(chan struct{})
	defer close(release)
	hangs.probe = func(context.Context) ([]driver.DeviceInfo, error) {
		<-release // deaf to its context
		return nil, nil
	}
	r := hal.NewRegistry(hangs, newFake("works"))
	start := time.Now()
	reports := r.Devices(within(t))
	require.Less(t, time.Since(start), 10*time.Second)
	require.ErrorIs(t, reports[0].Err, hal.ErrTimeout)
	require.ErrorContains(t, reports[0].Err, "hangs: probe: no answer after 2s")
	require.NoError(t, reports[1].Err, "the others answer")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, r.Devices(ctx)[0].Err, context.Canceled, "not a timeout: it was the caller")
	_, err := r.Open(ctx, "hangs")
	require.ErrorIs(t, err, context.Canceled)
}

func TestOpen(t *testing.T) {
	f := newFake("fake")
	var id string
	var o driver.OpenOptions
	f.open = func(i string, op driver.OpenOptions) (driver.Device, error) {
		id, o = i, op
		return fakeDevice{f}, nil
	}
	r := hal.NewRegistry(f)
	for _, c := range []struct {
		open, name, id string
		o              driver.OpenOptions
	}{
		{"fake", "fake", "0", driver.OpenOptions{}},
		{"fake:0", "fake:0", "0", driver.OpenOptions{}},
		{"fake:1", "fake:1", "1", driver.OpenOptions{}},
		{"fake:/opt/lib:2/x.so", "fake:/opt/lib:2/x.so", "/opt/lib:2/x.so", driver.OpenOptions{}},
		{"fake?", "fake", "0", driver.OpenOptions{}},
		{"fake?threads=7", "fake", "0", driver.OpenOptions{Threads: 7}},
		{"fake:1?tier=generic&x=a%26b&threads=1024", "fake:1", "1",
			driver.OpenOptions{Threads: 1024, Options: map[string]string{"tier": "generic", "x": "a&b"}}},
		{"fake?flag", "fake", "0", driver.OpenOptions{Options: map[string]string{"flag": ""}}},
		{"fake?validate=0", "fake", "0", driver.OpenOptions{}},
		{"fake?validate=1&y=2", "fake", "0", driver.OpenOptions{Options: map[string]string{"y": "2"}}},
	} {
		d, err := r.Open(within(t), c.open)
		require.NoError(t, err, c.open)
		require.Equal(t, c.name, d.Name(), c.open)
		require.Equal(t, c.id, id, c.open)
		require.Equal(t, c.o, o, c.open)
		require.NoError(t, d.Close())
	}

	// The first device need not be called 0.
	f.probe = func(context.Context) ([]driver.DeviceInfo, error) {
		return []driver.DeviceInfo{{ID: "usb-7"}}, nil
	}
	d, err := r.Open(within(t), "fake")
	require.NoError(t, err)
	require.Equal(t, "fake:usb-7", d.Name())
}

func TestOpenErrors(t *testing.T) {
	absent := newFake("absent")
	absent.probe = func(context.Context) ([]driver.DeviceInfo, error) {
		return nil, fmt.Errorf("no library: %w", driver.ErrUnavailable)
	}
	broken := newFake("broken")
	broken.open = func(id string, _ driver.OpenOptions) (driver.Device, error) {
		switch id {
		case "panic":
			panic("oh dear")
		case "nil":
			return nil, nil
		}
		return nil, fmt.Errorf("device %q: there is only device 0: %w", id, driver.ErrUnavailable)
	}
	r := hal.NewRegistry(absent, broken, newFake("cpu"))
	for _, c := range []struct {
		name string
		is   error
		text string
	}{
		{"gpu", hal.ErrUnavailable, "gpu: open: there is no such driver in this program; it has absent, broken, cpu"},
		{"", hal.ErrUnavailable, "it has absent, broken, cpu"},
		{"absent", hal.ErrUnavailable, "absent: probe: no library"},
		{"broken:9", hal.ErrUnavailable, `broken:9: open: device "9"`},
		{"broken:panic", hal.ErrDeviceLost, "the driver panicked: oh dear"},
		{"broken:nil", nil, "the driver returned nothing"},
		{"cpu?threads=0", hal.ErrInvalidArgument, "want a number from 1 to 1024"},
		{"cpu?threads=1025", hal.ErrInvalidArgument, "want a number from 1 to 1024"},
		{"cpu?threads=2abc", hal.ErrInvalidArgument, `threads="2abc"`},
		{"cpu?threads=99999999999999999999", hal.ErrInvalidArgument, "want a number"},
		{"cpu?threads=2&threads=3", hal.ErrInvalidArgument, "threads is given 2 times"},
		{"cpu?a=%zz", hal.ErrInvalidArgument, "options"},
		{"cpu?validate=maybe", hal.ErrInvalidArgument, `validate="maybe"`},
	} {
		d, err := r.Open(within(t), c.name)
		require.Nil(t, d, c.name)
		require.ErrorContains(t, err, c.text, c.name)
		if c.is != nil {
			require.ErrorIs(t, err, c.is, c.name)
		}
		var e *hal.Error
		require.ErrorAs(t, err, &e, c.name)
		require.Contains(t, []string{"open", "probe"}, e.Op)
	}
	_, err := hal.NewRegistry().Open(within(t), "cpu")
	require.ErrorContains(t, err, "it has none")
}

func TestDefaultRegistry(t *testing.T) {
	hal.Register(newFake("only-in-this-test"))
	require.Contains(t, hal.Default.Names(), "only-in-this-test")
	d, err := hal.Open(within(t), "only-in-this-test:1")
	require.NoError(t, err)
	require.NoError(t, d.Close())
	found := false
	for _, rep := range hal.Devices(within(t)) {
		found = found || rep.Name == "only-in-this-test" && len(rep.Devices) == 2
	}
	require.True(t, found)
}
