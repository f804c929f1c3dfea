package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/tools/heddle/internal/cli"
)

// outcome is what a run of the command left.
type outcome struct {
	out, err string
	code     int
}

// execute runs the command in this process.
func execute(t testing.TB, stdin string, args ...string) outcome {
	t.Helper()
	return executeWith(t, cli.Env{Stdin: strings.NewReader(stdin)}, args...)
}

func executeWith(t testing.TB, env cli.Env, args ...string) outcome {
	t.Helper()
	var out, err bytes.Buffer
	if env.Registry == nil {
		env.Registry = hal.NewRegistry(cpu.Driver{}, null.Driver{})
	}
	if env.Stdout == nil {
		env.Stdout = &out
	}
	env.Stderr = &err
	code := cli.Main(args, env)
	return outcome{out.String(), err.String(), code}
}

// succeed runs the command and returns its output.
func succeed(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	r := execute(t, stdin, args...)
	require.Equal(t, 0, r.code, "heddle %s: %s", strings.Join(args, " "), r.err)
	return r.out
}

// oneLine requires an error of one line that holds every want.
func (r outcome) oneLine(t testing.TB, code int, want ...string) {
	t.Helper()
	require.Equal(t, code, r.code, r.err)
	require.True(t, strings.HasPrefix(r.err, "heddle: "), r.err)
	require.Equal(t, 1, strings.Count(r.err, "\n"), r.err)
	require.True(t, strings.HasSuffix(r.err, "\n"))
	for _, w := range want {
		require.Contains(t, r.err, w)
	}
}

func decode[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&v), text)
	require.False(t, d.More(), "one JSON value")
	return v
}

func example(name string) string {
	return filepath.Join(shared.Root(), "models", "demo", "examples", name)
}

// write makes a file in a folder of the test's own.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// copyModel copies a model folder, to be damaged.
func copyModel(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
	return to
}

// names lists what is in a folder.
func names(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}
