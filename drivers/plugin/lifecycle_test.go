package plugin_test

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/plugin"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/validate"
)

// resident is how much memory this process has, in bytes, libraries' included.
func resident(t *testing.T) int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("there is no /proc/self/statm")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}

// Opening, compiling, running and closing a thousand times leaves nothing.
func TestThousandTimes(t *testing.T) {
	ctx := context.Background()
	g := addition(t, nil, 1000)
	data := inMemory{"w": make([]byte, 4000)}
	once := func() {
		d, err := tryOpen(t)
		require.NoError(t, err)
		x, err := d.Compile(ctx, g, driver.CompileOptions{Data: data})
		require.NoError(t, err)
		m, err := d.Alloc(ctx, driver.MemSpec{Size: 8192})
		require.NoError(t, err)
		q, err := d.NewQueue(driver.QueueOptions{})
		require.NoError(t, err)
		line, err := q.NewTimeline(0)
		require.NoError(t, err)
		require.NoError(t, q.Submit(ctx, &driver.Batch{
			Cmds:   []driver.Cmd{{Op: driver.Run, Exec: x, Args: []driver.Region{{Mem: m, Size: 4000}, {Mem: m, Off: 4096, Size: 4000}}}},
			Signal: []driver.Point{{T: line, V: 1}},
		}))
		require.NoError(t, line.Wait(ctx, 1))
		require.NoError(t, q.Close())
		require.NoError(t, m.Free())
		require.NoError(t, x.Close())
		require.NoError(t, d.Close())
	}
	for range 200 {
		once()
	}
	runtime.GC()
	files, routines, memory := openFiles(t), runtime.NumGoroutine(), resident(t)
	for range 1000 {
		once()
	}
	runtime.GC()
	require.Equal(t, files, openFiles(t))
	require.LessOrEqual(t, runtime.NumGoroutine(), routines)
	if !raceEnabled {
		require.Less(t, resident(t)-memory, int64(8<<20))
	}
}

// The driver keeps the contract that hal/validate checks.
func TestKeepsTheContract(t *testing.T) {
	path := mini(t)
	d, err := validate.Driver(plugin.Driver{}, validate.Options{}).Open(context.Background(), path, driver.OpenOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close(), "what was found") })
	r := newRunner(t, d, addition(t, nil, 4), inMemory{"w": floats(1, 2, 3, 4)})
	for range 10 {
		require.NoError(t, r.run())
	}
	_, ok := driver.As[driver.Importer](d)
	require.True(t, ok, "what is optional shows through")
}
