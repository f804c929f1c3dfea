package arch_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/models/ckpt"
	"github.com/stretchr/testify/require"
)

func TestGraphs(t *testing.T) {
	for _, name := range []string{"llama_tiny", "llama_tiny_tied", "llama_tiny_bf16_sharded", "llama_tiny_rope_llama3", "qwen2_tiny", "qwen3_tiny", "minicpm_tiny",
		"siglip_tiny", "siglip_tiny_odd", "vlm_tiny", "vlm_llava_siglip", "vlm_internvl", "vlm_smolvlm", "demo"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(shared.Root(), "models", "demo")
			if name != "demo" {
				dir = shared.Golden(t, name)
			}
			c, err := ckpt.Open(dir)
			require.NoError(t, err)
			defer c.Close()
			data, err := os.ReadFile(filepath.Join(dir, "config.json"))
			require.NoError(t, err)
			m, err := arch.Read("config.json", data, c)
			require.NoError(t, err)
			for _, taps := range []bool{false, true} {
				if m.Vision != nil {
					g, err := m.VisionGraph(c, arch.VisionOptions{Taps: taps})
					require.NoError(t, err)
					require.NotEmpty(t, g.Nodes)
				}
				if m.Text != nil {
					_, err := m.Prefill(c, arch.TextOptions{Taps: taps})
					require.NoError(t, err)
					_, err = m.Decode(c, arch.TextOptions{Taps: taps})
					require.NoError(t, err)
				}
			}
		})
	}
}
