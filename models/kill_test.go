//go:build linux

package models

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/isolate/host"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/scheduler"
)

// These tests are also the host program of the devices that they isolate.
func TestMain(m *testing.M) {
	if status, child := host.Main(); child {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// children lists the processes that this one started.
func children(t *testing.T) (pids []int) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	for _, task := range tasks {
		b, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// usage counts what a process can leak.
func usage(t *testing.T) (files, processes, goroutines int, resident int64) {
	t.Helper()
	dir, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	b, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	var size int64
	_, err = fmt.Sscan(string(b), &size, &resident)
	require.NoError(t, err)
	return len(dir), len(children(t)), runtime.NumGoroutine(), resident * int64(os.Getpagesize())
}

// The process of an isolated device is killed in the middle of an answer: that
// costs the answer. The session goes on with another device, and nothing is
// left behind.
func TestKilledWhileAnswering(t *testing.T) {
	rounds := 5
	switch {
	case os.Getenv("HEDDLE_FULL") != "":
		rounds = 1000
	case brief():
		rounds = 3
	}
	r := hal.NewRegistry(cpu.Driver{})
	var delays []time.Duration
	round := func() {
		before := children(t)
		m, err := OpenFS(t.Context(), demo.Name, demo.FS, &Options{Registry: r, Policy: scheduler.Policy{Devices: []string{"cpu?isolate=1&backoff=0"}}})
		require.NoError(t, err)
		s, err := m.NewSession(t.Context())
		require.NoError(t, err)
		pids := slices.DeleteFunc(children(t), func(pid int) bool { return slices.Contains(before, pid) })
		require.Len(t, pids, 1)

		u, pieces, killed := turn(t, 0), 0, time.Time{}
		u.Stream = func(string) error {
			if pieces++; pieces == 3 {
				require.NoError(t, syscall.Kill(pids[0], syscall.SIGKILL))
				killed = time.Now()
			}
			return nil
		}
		_, err = s.Ask(t.Context(), u)
		delays = append(delays, time.Since(killed))
		require.ErrorIs(t, err, hal.ErrDeviceLost)
		require.ErrorContains(t, err, "killed")
		require.GreaterOrEqual(t, pieces, 3, "the answer had begun")

		require.NoError(t, m.Use(t.Context(), onCPU))
		for i := range 2 {
			require.Equal(t, dialogue[i].answer, ask(t, s, turn(t, i)).Text)
		}
		require.NoError(t, s.Close())
		require.NoError(t, m.Close())
	}
	for range 2 {
		round()
	}
	delays = nil
	runtime.GC()
	files, processes, goroutines, memory := usage(t)
	for range rounds {
		round()
	}
	// The runtime itself may start a goroutine or open a descriptor meanwhile;
	// what a round leaves behind counts as often as there are rounds.
	const own = 2
	files, goroutines = files+own, goroutines+own
	var f, p, g int
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if f, p, g, _ = usage(t); f <= files && p <= processes && g <= goroutines {
			break
		}
	}
	require.LessOrEqual(t, f, files, "descriptors")
	require.LessOrEqual(t, p, processes, "processes")
	require.LessOrEqual(t, g, goroutines, "goroutines")
	runtime.GC()
	_, _, _, after := usage(t)
	slices.Sort(delays)
	t.Logf("%d times: from the kill to ErrDeviceLost %v (median), %v (longest); resident memory %d KB before, %d KB after",
		rounds, delays[len(delays)/2], delays[len(delays)-1], memory>>10, after>>10)
	require.Less(t, after, memory+64<<20)
}
