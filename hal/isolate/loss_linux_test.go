package isolate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

// pid returns the process of an isolated device.
func pid(t testing.TB, d *hal.Device) int {
	t.Helper()
	var n int
	for _, note := range d.Caps().Notes {
		if _, err := fmt.Sscanf(note, "isolated: runs in process %d,", &n); err == nil {
			return n
		}
	}
	t.Fatalf("the device is not isolated: %q", d.Caps().Notes)
	return 0
}

// However a driver ends its process, or does not, the device is lost, the
// error says how, and nothing else happens to the app.
func TestLoss(t *testing.T) {
	for _, c := range []struct {
		name, options string
		is            error // besides ErrDeviceLost
		text          string
	}{
		{"segv", "run=segv", nil, "saying: "},
		{"fatal panic", "run=fatal", nil, "panic: nobody catches this"},
		{"abort", "run=abort", nil, "SIGABRT: abort"},
		{"killed", "run=kill", nil, "was ended by SIGKILL (killed)"},
		{"exit", "run=exit", nil, "ended with status 7, saying: vendor: license expired"},
		{"exit in close", "close=exit", nil, ""},
		{"hang in a run", "run=hang&run_timeout=100ms", driver.ErrTimeout, "run_timeout=100ms"},
		{"hang in a call", "compile=hang&timeout=150ms", driver.ErrTimeout, `did not answer "compile" in time`},
		{"stopped", "run=stop&timeout=400ms", driver.ErrTimeout, "answered no ping for 400ms"},
		{"garbage", "run=garbage", nil, "not a valid message"},
		{"leak", "run=leak&mem_limit=64M", driver.ErrOutOfMemory, "memory"},
		{"lost by itself", "run=lost", nil, "the chip was reset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := within(t)
			dev, err := hal.Open(ctx, "fake:"+strings.ReplaceAll(c.name, " ", "-")+"?isolate=1&"+c.options)
			require.NoError(t, err)
			other, err := hal.Open(ctx, "fake?isolate=1")
			require.NoError(t, err)
			b := &bench{t: t, dev: dev, n: 16}
			q, err := dev.NewQueue(hal.QueueOptions{})
			require.NoError(t, err)
			tl, err := q.NewTimeline(0)
			require.NoError(t, err)
			untouched, err := q.NewTimeline(0) // that no batch will signal
			require.NoError(t, err)
			waits := make(chan error, 1)
			go func() { waits <- untouched.Wait(ctx, 1) }()

			exe, err := dev.Compile(ctx, unary(t, "Neg", 16), hal.CompileOptions{})
			if err == nil {
				b.exe = exe
				b.buf, err = dev.Alloc(ctx, 2*b.plane())
				require.NoError(t, err)
				shared, ok := b.buf.Bytes()
				require.True(t, ok)
				shared[0] = 41
				require.NoError(t, q.Submit(ctx, &hal.Batch{Cmds: []hal.Cmd{b.run()}, Signal: []hal.Point{{T: tl, V: 1}}}))
				err = tl.Wait(ctx, 1)
				if err == nil {
					err = exe.Close()
					require.NoError(t, err, "closing what is lost is no error")
					_, err = dev.Alloc(ctx, 1)
				}
				require.EqualValues(t, 41, shared[0], "what is shared stays")
			}
			t.Log(err)
			require.ErrorIs(t, err, hal.ErrDeviceLost)
			require.ErrorContains(t, err, c.text)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			if c.name != "lost by itself" {
				require.ErrorContains(t, err, fmt.Sprintf("the device's process %d (", pid(t, dev)))
				require.ErrorIs(t, <-waits, hal.ErrDeviceLost, "whoever waits is told")
			}
			_, err = dev.Alloc(ctx, 1)
			require.ErrorIs(t, err, hal.ErrDeviceLost)
			require.Error(t, dev.Lost())
			if b.buf != nil {
				require.NoError(t, b.buf.Close())
				require.NoError(t, exe.Close())
			}
			require.NoError(t, q.Close())
			require.NoError(t, dev.Close())

			again, err := other.Alloc(ctx, 64)
			require.NoError(t, err, "another device does not notice")
			require.NoError(t, again.Close())
			require.NoError(t, other.Close())
		})
	}
}

// Memory that a vendor's library takes meets the kernel's limit, or is seen
// to be too much, whichever comes first.
func TestMemoryLimit(t *testing.T) {
	b := open(t, "fake?isolate=1&run=leak-c&mem_limit=64M", "Neg", 16)
	err := b.do(b.run())
	t.Log(err)
	require.ErrorIs(t, err, hal.ErrOutOfMemory)
	b.close()
	b = open(t, "fake?isolate=1&mem_limit=64M", "Neg", 1<<20)
	require.NoError(t, b.do(b.run()), "tensors do not count")
	b.close()
}

// The process is killed while batches are under way: whoever waits is told
// soon, and the device can be opened again.
func TestKill(t *testing.T) {
	b := open(t, "fake?isolate=1&run=slow", "Neg", 16)
	ctx := within(t)
	var tls []*hal.Timeline
	for range 20 {
		tl, err := b.q.NewTimeline(0)
		require.NoError(t, err)
		require.NoError(t, b.q.Submit(ctx, &hal.Batch{Cmds: []hal.Cmd{b.run()}, Signal: []hal.Point{{T: tl, V: 1}}}))
		tls = append(tls, tl)
	}
	told := make(chan time.Time, len(tls))
	var wg sync.WaitGroup
	for i, tl := range tls {
		wg.Go(func() {
			err := tl.Wait(ctx, 1)
			told <- time.Now()
			if i > 2 && !errors.Is(err, hal.ErrDeviceLost) {
				t.Errorf("batch %d: %v", i, err)
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	killed := time.Now()
	require.NoError(t, syscall.Kill(pid(t, b.dev), syscall.SIGKILL))
	wg.Wait()
	close(told)
	var last time.Duration
	for at := range told {
		last = max(last, at.Sub(killed))
	}
	t.Logf("every waiter was told of the loss within %v", last)
	require.Less(t, last, 2*time.Second, "aim: 100 ms; the limit is for busy machines")
	err := b.q.Submit(ctx, &hal.Batch{})
	require.ErrorIs(t, err, hal.ErrDeviceLost)
	b.close()

	b = open(t, "fake?isolate=1", "Neg", 16)
	require.NoError(t, b.do(b.run()))
	b.close()
}

func TestOpenFails(t *testing.T) {
	ctx := within(t)
	for name, c := range map[string]struct {
		is   []error
		text string
	}{
		"fake?isolate=1&open=error":             {[]error{hal.ErrIncompatible}, "it does not like it"},
		"fake?isolate=1&open=panic":             {[]error{hal.ErrDeviceLost}, "panicked: oh dear"},
		"fake?isolate=1&open=exit":              {[]error{hal.ErrDeviceLost}, "status 7, saying: vendor: license expired"},
		"fake?isolate=1&open=hang&timeout=50ms": {[]error{hal.ErrDeviceLost, hal.ErrTimeout}, "did not answer"},
		"fake?isolate=1&host=/bin/true":         {[]error{hal.ErrUnavailable}, "is /bin/true a host program"},
		"fake?isolate=1&host=/dev/null":         {[]error{hal.ErrUnavailable}, "no executable file"},
		"fake?isolate=1&host=/no/such":          {[]error{hal.ErrUnavailable}, "no such file"},
		"fake?isolate=1&host=":                  {[]error{hal.ErrInvalidArgument}, "host"},
		"fake?isolate=maybe":                    {[]error{hal.ErrInvalidArgument}, "isolate"},
		"fake?isolate=1&cpus=0":                 {[]error{hal.ErrInvalidArgument}, "cpus"},
		"fake?isolate=1&mem_limit=1M":           {[]error{hal.ErrInvalidArgument}, "mem_limit"},
		"fake?isolate=1&timeout=soon":           {[]error{hal.ErrInvalidArgument}, "timeout"},
		"strange":                               {[]error{hal.ErrUnavailable}, "no such driver in this program"},
		"strange?isolate=0":                     {[]error{hal.ErrUnavailable}, "no such driver in this program"},
		"strange?isolate=1":                     {[]error{hal.ErrUnavailable}, "go build -o heddle-host ./tools/heddle-host"},
	} {
		dev, err := hal.Open(ctx, name)
		require.Nil(t, dev, name)
		require.ErrorContains(t, err, c.text, name)
		for _, is := range c.is {
			require.ErrorIs(t, err, is, name)
		}
	}
	cancelled, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err := hal.Open(cancelled, "fake?isolate=1&open=hang")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, hal.ErrDeviceLost)
}

// An error of the driver is the same on this side: sentinels, node, text.
func TestErrorsCross(t *testing.T) {
	b := open(t, "fake?isolate=1&run=error", "Neg", 16)
	defer b.close()
	err := b.do(b.run())
	require.ErrorIs(t, err, hal.ErrIncompatible)
	require.ErrorIs(t, err, graph.ErrInvalid)
	require.NotErrorIs(t, err, hal.ErrDeviceLost)
	var at *graph.Error
	require.ErrorAs(t, err, &at)
	require.Equal(t, "n7", at.Node)
	var e *hal.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "fake", e.Device)
	require.Equal(t, 1, strings.Count(err.Error(), "it does not like it"))
	require.Equal(t, 1, strings.Count(err.Error(), "fake:"), err)
	require.NoError(t, b.dev.Lost())
}

func TestBackoff(t *testing.T) {
	ctx := within(t)
	id := fmt.Sprintf("fake:%d", time.Now().UnixNano()) // none that died before
	name := id + "?isolate=1&run=kill&host="
	self, err := os.Executable()
	require.NoError(t, err)
	die := func(name string) error {
		dev, err := hal.Open(ctx, name)
		if err != nil {
			return err
		}
		defer dev.Close()
		require.NoError(t, syscall.Kill(pid(t, dev), syscall.SIGKILL))
		require.Eventually(t, func() bool {
			_, err := dev.Alloc(ctx, 1)
			return err != nil
		}, 10*time.Second, time.Millisecond)
		return nil
	}
	for range 3 {
		require.NoError(t, die(name+self))
	}
	err = die(name + self)
	require.ErrorIs(t, err, hal.ErrUnavailable)
	require.ErrorContains(t, err, "died at once 3 times")
	require.ErrorContains(t, err, "SIGKILL")
	require.NoError(t, die(id+"8?isolate=1&run=kill&host="+self), "another device")
	require.NoError(t, die(name+self+"&backoff=0"), "asked not to wait")
	require.Eventually(t, func() bool { return die(name+self) == nil }, 10*time.Second, 50*time.Millisecond, "it is tried again")
}

// Opening, running, killing and closing leaves nothing behind.
func TestNothingLeaks(t *testing.T) {
	n := 50
	if os.Getenv("HEDDLE_FULL") != "" {
		n = 1000
	} else if testing.Short() {
		n = 5
	}
	round := func(i int) {
		b := open(t, "null?isolate=1", "Neg", 16)
		require.NoError(t, b.do(hal.Cmd{Op: hal.Upload, Dst: b.in(), Host: make([]byte, 64)}, b.run()))
		if i%2 == 0 {
			ctx := within(t)
			require.NoError(t, syscall.Kill(pid(t, b.dev), syscall.SIGKILL))
			err := b.do(b.run())
			for err == nil {
				err = b.do(b.run())
			}
			require.ErrorIs(t, err, hal.ErrDeviceLost)
			require.ErrorIs(t, b.tl.Wait(ctx, 1<<40), hal.ErrDeviceLost)
		}
		b.close()
	}
	for i := range 4 {
		round(i)
	}
	files, children, goroutines, memory := usage(t)
	for i := range n {
		round(i)
	}
	var f, c, g int
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if f, c, g, _ = usage(t); f <= files && c <= children && g <= goroutines {
			break
		}
	}
	require.LessOrEqual(t, f, files, "descriptors")
	require.LessOrEqual(t, c, children, "children")
	require.LessOrEqual(t, g, goroutines, "goroutines")
	runtime.GC()
	_, _, _, after := usage(t)
	t.Logf("%d rounds: resident memory %d KB before, %d KB after", n, memory>>10, after>>10)
	require.Less(t, after, memory+32<<20)
}

// usage counts descriptors, child processes, goroutines and resident bytes.
func usage(t testing.TB) (files, children, goroutines int, memory int64) {
	t.Helper()
	dir, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	for _, task := range tasks {
		b, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		children += len(strings.Fields(string(b)))
	}
	b, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	var size, resident int64
	_, err = fmt.Sscan(string(b), &size, &resident)
	require.NoError(t, err)
	return len(dir), children, runtime.NumGoroutine(), resident * int64(os.Getpagesize())
}
