package models

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/scheduler"
	"github.com/stretchr/testify/require"
)

// registry holds the driver that these tests run on.
var registry = hal.NewRegistry(cpu.Driver{})

// brief reports whether to test with fewer cases: where it was asked for, and
// on other architectures than amd64, which are mostly emulated.
func brief() bool { return testing.Short() || runtime.GOARCH != "amd64" }

// openDemo opens the embedded demo model under a policy.
func openDemo(t testing.TB, p scheduler.Policy) *Model {
	return openDemoWith(t, Options{Policy: p})
}

func openDemoWith(t testing.TB, o Options) *Model {
	t.Helper()
	m, err := openDemoErr(t, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func openDemoErr(t testing.TB, o Options) (*Model, error) {
	o.Registry = registry
	return OpenFS(t.Context(), demo.Name, demo.FS, &o)
}

func newSession(t testing.TB, m *Model) *Session {
	t.Helper()
	s, err := m.NewSession(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// demoFile returns the path of a file beside the demo model that is not
// embedded, such as "examples/shapes.png".
func demoFile(name string) string {
	return filepath.Join(shared.Root(), "models", "demo", filepath.FromSlash(name))
}

func picture(t testing.TB, name string) img.RGB {
	t.Helper()
	p, err := img.Open(demoFile(name), img.Limits{})
	require.NoError(t, err)
	return p
}

// question is a line of a questions.jsonl.
type question struct {
	Image    string `json:"image"`
	Question string `json:"question"`
	Answer   string `json:"answer"`
	Kind     string `json:"kind"`
}

func readLines[T any](t testing.TB, path string) []T {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var out []T
	for sc := bufio.NewScanner(bytes.NewReader(data)); sc.Scan(); {
		var x T
		require.NoError(t, json.Unmarshal(sc.Bytes(), &x))
		out = append(out, x)
	}
	return out
}

func ask(t testing.TB, s *Session, turn Turn) *Answer {
	t.Helper()
	a, err := s.Ask(context.Background(), turn)
	require.NoError(t, err)
	return a
}
