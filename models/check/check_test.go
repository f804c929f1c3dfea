package check_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/check"
	"github.com/heddle-ml/heddle/models/ckpt/safetensors"
	"github.com/stretchr/testify/require"
)

// goldens lists the model folders of testdata/golden.
func goldens(t *testing.T) []string {
	var out []string
	root := filepath.Dir(shared.Golden(t, "llama_tiny"))
	require.NoError(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "expected.safetensors" {
			out = append(out, filepath.Dir(path))
		}
		return err
	}))
	require.GreaterOrEqual(t, len(out), 18)
	return out
}

func TestGoldens(t *testing.T) {
	r := hal.NewRegistry(cpu.Driver{})
	for _, dir := range goldens(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			rep, err := check.Run(context.Background(), dir, filepath.Join(dir, "expected.safetensors"), check.Options{Registry: r})
			require.NoError(t, err)
			for _, x := range rep.Results {
				if !x.OK {
					t.Errorf("%s %v: %s (max abs %g, rel %g)", x.Name, x.Shape, x.Reason, x.MaxAbs, x.MaxRel)
				}
			}
			require.True(t, rep.OK())
			f, err := safetensors.Open(filepath.Join(dir, "expected.safetensors"))
			require.NoError(t, err)
			defer f.Close()
			require.Len(t, rep.Results, len(f.Tensors()), "every stored tensor is accounted for")
		})
	}
}

// One value that is off by 1e-3 must be noticed, whatever tensor it is in.
func TestPerturbed(t *testing.T) {
	r := hal.NewRegistry(cpu.Driver{})
	for _, name := range []string{"qwen3_tiny", "siglip_tiny_odd", "vlm_tiny"} {
		dir := shared.Golden(t, name)
		f, err := safetensors.Open(filepath.Join(dir, "expected.safetensors"))
		require.NoError(t, err)
		for _, victim := range f.Tensors() {
			if victim.DType != safetensors.F32 || victim.Name == "pixel_values" || strings.Contains(victim.Name, "layer.1") {
				continue
			}
			var entries []safetensors.Entry
			for _, x := range f.Tensors() {
				data := append([]byte(nil), f.Bytes(x)...)
				e := safetensors.Entry{Name: x.Name, DType: x.DType, Shape: x.Shape, Data: data}
				if x.Name == victim.Name {
					perturb(data)
				}
				entries = append(entries, e)
			}
			path := filepath.Join(t.TempDir(), "expected.safetensors")
			w, err := os.Create(path)
			require.NoError(t, err)
			require.NoError(t, safetensors.Write(w, entries, nil))
			require.NoError(t, w.Close())
			rep, err := check.Run(context.Background(), dir, path, check.Options{Registry: r})
			require.NoError(t, err)
			require.False(t, rep.OK(), "%s: %s", name, victim.Name)
			for _, x := range rep.Results {
				require.Equal(t, x.Name != victim.Name, x.OK, x.Name)
			}
		}
		require.NoError(t, f.Close())
	}
}
