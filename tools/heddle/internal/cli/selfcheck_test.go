package cli_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/fault"
	"github.com/heddle-ml/heddle/tools/heddle/internal/cli"
)

// devices --self-check finds a device that computes wrong; from then on
// devices shows it in quarantine, and run falls back or fails.
func TestSelfCheck(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	t.Setenv("HOME", home)
	type list struct {
		Drivers []struct {
			Status  string
			Devices []struct {
				Name, Status, Reason string
				SelfCheck            *hal.SelfCheckReport `json:"self_check"`
			}
		}
	}
	devices := func(env cli.Env, args ...string) (l list) {
		r := executeWith(t, env, append([]string{"devices", "--json"}, args...)...)
		require.Equal(t, 0, r.code, r.err)
		require.NoError(t, json.Unmarshal([]byte(r.out), &l))
		return l
	}
	good := func() cli.Env { return cli.Env{Registry: hal.NewRegistry(cpu.Driver{}, null.Driver{})} }
	bad := func() cli.Env {
		return cli.Env{Registry: hal.NewRegistry(fault.Driver(cpu.Driver{}, fault.Fault{Kind: fault.SwapRows, Op: "Conv"}), null.Driver{})}
	}
	l := devices(good())
	require.Nil(t, l.Drivers[0].Devices[0].SelfCheck)
	l = devices(good(), "--self-check")
	require.Equal(t, "ready", l.Drivers[0].Devices[0].Status)
	require.Equal(t, 9, l.Drivers[0].Devices[0].SelfCheck.Checked())
	require.Zero(t, l.Drivers[1].Devices[0].SelfCheck.Checked())
	text := executeWith(t, good(), "devices", "--self-check").out
	require.Contains(t, text, "self-check  9 blocks right in ")
	require.Contains(t, text, "self-check  there is nothing that could be compared")

	l = devices(bad(), "--self-check")
	c := l.Drivers[0].Devices[0]
	require.Equal(t, []string{"cpu", "quarantined"}, []string{c.Name, c.Status})
	require.Contains(t, c.Reason, "convolution: run 1: output y: element ")
	require.Equal(t, "fail", c.SelfCheck.Blocks[len(c.SelfCheck.Blocks)-1].Status)
	// Any later process knows, and says why.
	l = devices(good())
	require.Equal(t, "quarantined", l.Drivers[0].Devices[0].Status)
	require.Contains(t, executeWith(t, good(), "devices").out, "quarantined: it failed its self-check of ")
	executeWith(t, good(), "run", "Hello?").oneLine(t, 1, "quarantined", "convolution: run 1", "heddle devices --self-check")

	// The driver was repaired.
	l = devices(good(), "--self-check")
	require.Equal(t, "ready", l.Drivers[0].Devices[0].Status)
	require.Equal(t, 0, executeWith(t, good(), "run", "--self-check", "What do you see?").code)
	executeWith(t, bad(), "run", "--plan", "p.json", "--self-check", "Hi").oneLine(t, 2, "self-check")
}
