package onnx

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/ops"
)

// env opens a driver's device.
func env(t *testing.T, d driver.Driver, id string) *suite.Env {
	reg := hal.NewRegistry(d)
	name := d.Info().Name + ":0"
	dev, err := reg.Open(context.Background(), name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dev.Close()) })
	return &suite.Env{ID: id, Driver: d, Registry: reg, Name: name, Device: dev, Caps: dev.Caps()}
}

// The CPU passes all of them, and says how exactly.
func TestAll(t *testing.T) {
	dir := shared.Dir(t, "onnx-node-tests")
	cs, err := Cases(dir)
	require.NoError(t, err)
	require.Len(t, cs, 584)
	form := regexp.MustCompile(`^onnx\.[a-z0-9_]+$`)
	e := env(t, cpu.Driver{}, "onnx")
	for _, c := range cs {
		require.Regexp(t, form, c.ID)
		require.Zero(t, c.Profiles)
		if err := c.Run(context.Background(), e); err != nil {
			t.Errorf("%s: %v", c.ID, err)
		}
	}
	require.NotNil(t, e.Stats())
	require.LessOrEqual(t, e.Stats().Worst, 1.0)
}

func write(t *testing.T, path string, data []byte) {
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, data, 0o644))
}

// sum writes the case y = x + x.
func sum(t *testing.T, dir string, y ...float32) {
	b := graph.NewBuilder("sum", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, 2))
	b.Output("y", b.Op("Add", []graph.ValueID{x, x}))
	g, err := b.Build()
	require.NoError(t, err)
	var m bytes.Buffer
	require.NoError(t, onnx.Export(&m, g, onnx.ExportOptions{}))
	write(t, filepath.Join(dir, "model.onnx"), m.Bytes())
	for name, v := range map[string]*graph.Tensor{"input_0": graph.F32([]int64{2}, 1, 2), "output_0": graph.F32([]int64{int64(len(y))}, y...)} {
		pb, err := onnx.FormatTensor(name, v)
		require.NoError(t, err)
		write(t, filepath.Join(dir, "test_data_set_0", name+".pb"), pb)
	}
}

func TestVerdicts(t *testing.T) {
	dir := t.TempDir()
	sum(t, filepath.Join(dir, "test_Right-1"), 2, 4)
	sum(t, filepath.Join(dir, "test_wrong"), 2, 5)
	sum(t, filepath.Join(dir, "test_short"), 2)
	write(t, filepath.Join(dir, "test_damaged", "model.onnx"), []byte("no model"))
	write(t, filepath.Join(dir, "test_empty", "model.onnx"), nil)
	sum(t, filepath.Join(dir, "test_huge"), 2, 4)
	require.NoError(t, os.Truncate(filepath.Join(dir, "test_huge", "model.onnx"), 1<<40))
	sum(t, filepath.Join(dir, "test_link"), 2, 4)
	require.NoError(t, os.Symlink("/dev/zero", filepath.Join(dir, "test_link", "test_data_set_0", "input_1.pb")))
	cs, err := Cases(dir)
	require.NoError(t, err)
	e := env(t, cpu.Driver{}, "onnx")
	for id, want := range map[string]string{
		"onnx.test_right_1": "", "onnx.test_wrong": "element 1 is 4, want 5", "onnx.test_short": "is f32[2], want f32[1]",
		"onnx.test_damaged": "cannot be read as a case", "onnx.test_empty": "cannot be read as a case",
		"onnx.test_huge": "has 1099511627776 bytes", "onnx.test_link": "no regular file",
	} {
		ok := false
		for _, c := range cs {
			if c.ID != id {
				continue
			}
			ok = true
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			err := c.Run(ctx, e)
			cancel()
			if want == "" {
				require.NoError(t, err, id)
			} else {
				require.ErrorContains(t, err, want, id)
				require.False(t, suite.IsUnsupported(err), id)
			}
		}
		require.True(t, ok, id)
	}
	require.Len(t, cs, 7)
}

// shy is the CPU refusing everything.
type shy struct{ cpu.Driver }

type shyDevice struct{ driver.Device }

func (shy) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	d, err := cpu.Driver{}.Open(ctx, id, o)
	return shyDevice{d}, err
}

func (shyDevice) Supports(g *graph.Graph) []driver.Verdict {
	out := make([]driver.Verdict, len(g.Nodes))
	for i := range out {
		out[i] = driver.Verdict{Code: driver.ReasonShape, Text: "not today"}
	}
	return out
}

// What a device refuses is unsupported, with its reason.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	sum(t, filepath.Join(dir, "test_sum"), 2, 4)
	cs, err := Cases(dir)
	require.NoError(t, err)
	err = cs[0].Run(context.Background(), env(t, shy{}, "onnx"))
	require.True(t, suite.IsUnsupported(err), "%v", err)
	require.ErrorContains(t, err, "not today")
}

func TestFolders(t *testing.T) {
	cs, err := Cases("")
	require.NoError(t, err)
	require.Empty(t, cs)
	_, err = Cases(filepath.Join(t.TempDir(), "absent"))
	require.ErrorContains(t, err, "onnx/backend/test/data/node")
	dir := t.TempDir()
	sum(t, filepath.Join(dir, "test_a-b"), 2, 4)
	sum(t, filepath.Join(dir, "test_a_b"), 2, 4)
	_, err = Cases(dir)
	require.ErrorContains(t, err, "rename one")
	require.True(t, strings.HasPrefix(clean("Test-é"), "test_"))
}
