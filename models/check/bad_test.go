package check_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/check"
	"github.com/heddle-ml/heddle/models/ckpt/safetensors"
	"github.com/heddle-ml/heddle/scheduler"
	"github.com/stretchr/testify/require"
)

var registry = hal.NewRegistry(cpu.Driver{})

// entries reads a safetensors file to be changed and written anew.
func entries(t testing.TB, path string) []safetensors.Entry {
	t.Helper()
	f, err := safetensors.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var out []safetensors.Entry
	for _, x := range f.Tensors() {
		out = append(out, safetensors.Entry{Name: x.Name, DType: x.DType, Shape: x.Shape, Data: bytes.Clone(f.Bytes(x))})
	}
	return out
}

func write(t testing.TB, es []safetensors.Entry) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, safetensors.Write(&b, es, nil))
	path := filepath.Join(t.TempDir(), "expected.safetensors")
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
	return path
}

// change returns the expected file of a model with one tensor changed; f
// returns false to leave it out.
func change(t testing.TB, dir, name string, f func(e *safetensors.Entry) bool) string {
	t.Helper()
	var out []safetensors.Entry
	found := false
	for _, e := range entries(t, filepath.Join(dir, "expected.safetensors")) {
		keep := true
		if e.Name == name {
			found = true
			keep = f(&e)
		}
		if keep {
			out = append(out, e)
		}
	}
	require.True(t, found, name)
	return write(t, out)
}

func ints(v ...int64) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, uint64(x))
	}
	return b
}

func run(t testing.TB, dir, expected string, o check.Options) (*check.Report, error) {
	t.Helper()
	o.Registry = registry
	return check.Run(context.Background(), dir, expected, o)
}

func result(t testing.TB, r *check.Report, name string) check.Result {
	t.Helper()
	for _, x := range r.Results {
		if x.Name == name {
			return x
		}
	}
	t.Fatalf("no result for %s", name)
	return check.Result{}
}

// What the file expects and the model does not give is a failure that says
// what is different.
func TestDifferences(t *testing.T) {
	dir := shared.Golden(t, "llama_tiny")
	for _, c := range []struct {
		name string
		edit func(e *safetensors.Entry) bool
		want string
	}{
		{"seq0.logits", func(e *safetensors.Entry) bool { e.Name = "seq0.logitz"; return true }, "the model does not produce it"},
		{"seq0.layer.1", func(e *safetensors.Entry) bool { e.Name = "seq0.layer.7"; return true }, "the model does not produce it"},
		{"seq0.final_norm", func(e *safetensors.Entry) bool {
			e.Shape = []int64{e.Shape[1], e.Shape[0]}
			return true
		}, "the model's has shape [7 64]"},
		{"seq0.greedy", func(e *safetensors.Entry) bool { e.Data[0] ^= 1; return true }, "out of tolerance"},
		{"seq0.layer.0", func(e *safetensors.Entry) bool {
			binary.LittleEndian.PutUint32(e.Data[8:], math.Float32bits(float32(math.NaN())))
			return true
		}, "out of tolerance"},
		{"seq0.k_cache.0", func(e *safetensors.Entry) bool {
			binary.LittleEndian.PutUint32(e.Data, math.Float32bits(float32(math.Inf(1))))
			return true
		}, "out of tolerance"},
	} {
		renamed := ""
		path := change(t, dir, c.name, func(e *safetensors.Entry) bool { keep := c.edit(e); renamed = e.Name; return keep })
		r, err := run(t, dir, path, check.Options{})
		require.NoError(t, err, c.name)
		require.False(t, r.OK())
		x := result(t, r, renamed)
		require.False(t, x.OK)
		require.Contains(t, x.Reason, c.want)
		require.False(t, math.IsNaN(x.MaxAbs) || math.IsInf(x.MaxAbs, 0) || math.IsNaN(x.MaxRel) || math.IsInf(x.MaxRel, 0))
		for _, x := range r.Results {
			require.True(t, x.OK || x.Name == renamed, x.Name)
		}
		_, err = json.Marshal(r.Results)
		require.NoError(t, err, "infinite errors must print")
	}
}

// The tolerance is the caller's where it says one.
func TestAtol(t *testing.T) {
	dir := shared.Golden(t, "siglip_tiny_odd")
	expected := filepath.Join(dir, "expected.safetensors")
	r, err := run(t, dir, expected, check.Options{})
	require.NoError(t, err)
	require.True(t, r.OK())
	require.Equal(t, 5e-5, result(t, r, "embeddings").Atol)
	require.Equal(t, "input", result(t, r, "pixel_values").Role)
	r, err = run(t, dir, expected, check.Options{Atol: 1e-9})
	require.NoError(t, err)
	require.False(t, r.OK())
	off := change(t, dir, "embeddings", func(e *safetensors.Entry) bool { perturb(e.Data); return true })
	r, err = run(t, dir, off, check.Options{Atol: 1e-2})
	require.NoError(t, err)
	require.True(t, r.OK())
	require.InDelta(t, 1e-3, result(t, r, "embeddings").MaxAbs, 1e-5)
}

// A check that compares nothing has not passed.
func TestNothingCompared(t *testing.T) {
	dir := shared.Golden(t, "llama_tiny")
	var only []safetensors.Entry
	for _, e := range entries(t, filepath.Join(dir, "expected.safetensors")) {
		if e.Name == "seq0.input_ids" {
			only = append(only, e)
		}
	}
	r, err := run(t, dir, write(t, only), check.Options{})
	require.NoError(t, err)
	require.False(t, r.OK())
	_, err = run(t, dir, write(t, nil), check.Options{})
	require.ErrorContains(t, err, "holds no inputs for this model")
	_, err = run(t, shared.Golden(t, "siglip_tiny"), write(t, only), check.Options{})
	require.ErrorContains(t, err, "holds no inputs for this model")
}

// Expected files come from elsewhere: each of these is an error in a line.
func TestBadExpected(t *testing.T) {
	llama, vlm, tower, projector := shared.Golden(t, "llama_tiny"), shared.Golden(t, "vlm_tiny"), shared.Golden(t, "siglip_tiny"), filepath.Join(shared.Golden(t, "projector"), "vila_mlp_downsample")
	set := func(shape []int64, data []byte) func(*safetensors.Entry) bool {
		return func(e *safetensors.Entry) bool { e.Shape, e.Data = shape, data; return true }
	}
	for _, c := range []struct {
		dir, name string
		edit      func(e *safetensors.Entry) bool
		want      string
	}{
		{llama, "seq0.input_ids", set([]int64{2}, ints(1, -1)), "input_ids[1] is -1, the vocabulary has"},
		{llama, "seq0.input_ids", set([]int64{2}, ints(1, 1<<40)), "input_ids[1] is 1099511627776"},
		{llama, "seq0.input_ids", set([]int64{0}, nil), "input_ids are not a vector of integers"},
		{llama, "seq0.input_ids", set([]int64{1, 2}, ints(1, 2)), "input_ids are not a vector of integers"},
		{llama, "seq0.input_ids", func(e *safetensors.Entry) bool { e.DType = safetensors.F64; return true }, "input_ids are not a vector of integers"},
		{llama, "seq0.input_ids", set([]int64{600}, make([]byte, 4800)), "exceed max_position_embeddings"},
		{vlm, "seq0.image_index", set([]int64{1}, ints(7)), "image_index names picture 7"},
		{vlm, "seq0.image_index", set([]int64{1}, ints(-1)), "image_index names picture -1"},
		{vlm, "seq0.image_index", set([]int64{2}, ints(0, 1)), "more image embeddings than placeholders"},
		{vlm, "seq0.image_index", set([]int64{0}, nil), "more placeholders than image embeddings"},
		{vlm, "pixel_values", func(*safetensors.Entry) bool { return false }, "image_index names picture"},
		{vlm, "pixel_values", set([]int64{3, 3, 4, 4}, make([]byte, 4*3*3*16)), "pixel_values"},
		{tower, "pixel_values", set([]int64{0, 3, 56, 56}, nil), "tiles"},
		{tower, "pixel_values", set([]int64{65, 3, 56, 56}, make([]byte, 4*65*3*56*56)), "tiles"},
		{tower, "pixel_values", func(e *safetensors.Entry) bool { e.DType = safetensors.I32; return true }, "not float tiles"},
		{projector, "input", set([]int64{2, 24, 24}, make([]byte, 4*2*24*24)), "24 tokens are not a square grid"},
		{projector, "input", set([]int64{2, 25, 23}, make([]byte, 4*2*25*23)), "input"},
	} {
		_, err := run(t, c.dir, change(t, c.dir, c.name, c.edit), check.Options{})
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "\n")
	}
	_, err := run(t, llama, filepath.Join(llama, "nowhere.safetensors"), check.Options{})
	require.ErrorContains(t, err, "nowhere.safetensors")
	_, err = run(t, llama, filepath.Join(llama, "config.json"), check.Options{})
	require.ErrorContains(t, err, "config.json")
	_, err = run(t, filepath.Join(llama, "nowhere"), filepath.Join(llama, "expected.safetensors"), check.Options{})
	require.ErrorContains(t, err, "nowhere")
	_, err = run(t, llama, filepath.Join(llama, "expected.safetensors"), check.Options{Policy: scheduler.Policy{Devices: []string{"warp"}}})
	require.ErrorContains(t, err, "it has cpu")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = check.Run(ctx, llama, filepath.Join(llama, "expected.safetensors"), check.Options{Registry: registry})
	require.ErrorIs(t, err, context.Canceled)
}

// The blocks of a downsampler come column by column where the checkpoint says
// so: the reference's output with rows and columns exchanged.
func TestColumnFirst(t *testing.T) {
	src := filepath.Join(shared.Golden(t, "projector"), "vila_mlp_downsample_2x2_fix")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(src)))
	var es []safetensors.Entry
	for _, e := range entries(t, filepath.Join(src, "expected.safetensors")) {
		if e.Name != "input" {
			tiles, tokens, width := int(e.Shape[0]), int(e.Shape[1]), int(e.Shape[2])
			side := int(math.Sqrt(float64(tokens)))
			require.Equal(t, tokens, side*side)
			row := 4 * width
			data := make([]byte, len(e.Data))
			for i := range tiles {
				for r := range side {
					for c := range side {
						copy(data[(i*tokens+r*side+c)*row:][:row], e.Data[(i*tokens+c*side+r)*row:][:row])
					}
				}
			}
			e.Data = data
		}
		es = append(es, e)
	}
	expected := write(t, es)
	r, err := run(t, dir, expected, check.Options{})
	require.NoError(t, err)
	require.False(t, r.OK(), "row by row is the default")

	var config map[string]any
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &config))
	config["downsample_column_first"] = true
	data, err = json.Marshal(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), data, 0o644))
	r, err = run(t, dir, expected, check.Options{})
	require.NoError(t, err)
	require.True(t, r.OK())
}

// What was computed is given out under the names of what it was compared
// with.
func TestComputed(t *testing.T) {
	dir := shared.Golden(t, "vlm_smolvlm")
	r, err := run(t, dir, filepath.Join(dir, "expected.safetensors"), check.Options{})
	require.NoError(t, err)
	require.Len(t, r.Computed, len(r.Results))
	dumped := write(t, r.Computed)
	again, err := run(t, dir, dumped, check.Options{Atol: 1e-30})
	require.NoError(t, err)
	for _, x := range again.Results {
		require.True(t, x.OK, "%s: %s: the same computation gives the same bits", x.Name, x.Reason)
		require.Zero(t, x.MaxAbs)
	}
}
