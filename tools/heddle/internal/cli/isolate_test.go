package cli_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/isolate/host"
	"github.com/heddle-ml/heddle/tools/heddle/internal/cli"
)

// The test program is the host of devices that it isolates, as the command is.
func TestMain(m *testing.M) {
	if status, child := host.Main(); child {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// --isolate changes where a model runs, and nothing else.
func TestIsolate(t *testing.T) {
	question := []string{"run", "--image", example("shapes.png"), "What is right of the yellow star?"}
	here := succeed(t, "", question...)
	for _, args := range [][]string{
		{"--isolate"},
		{"--isolate", "--device", "cpu?threads=1"},
		{"--isolate", "--device", "vision=cpu,llm=cpu?threads=1"},
		{"--device", "cpu?isolate=1&mem_limit=1G"},
	} {
		require.Equal(t, here, succeed(t, "", append(question, args...)...), args)
	}
	require.Contains(t, succeed(t, "What shape is green?\n", "chat", "--isolate", "--image", example("nine-tiles.png")), "\n")

	// A host program that is not there is named.
	execute(t, "", append(question, "--isolate", "--device", "cpu?host=/no/such")...).oneLine(t, 1, "host program", "/no/such")
	execute(t, "", append(question, "--device", "npu?isolate=1&host=/no/such")...).oneLine(t, 1, "npu", "/no/such")

	r := hal.Default.Isolated()
	require.Contains(t, executeWith(t, cli.Env{Registry: r}, "devices").out, "isolated: runs in process")
}
