package arch

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/img/tiling"
)

// Whatever a config.json says, reading it and asking for the graphs of a
// checkpoint without tensors ends with an error or a model, soon, and without
// taking memory for what it claims.
func FuzzConfig(f *testing.F) {
	dirs, err := filepath.Glob(filepath.Join(filepath.Dir(shared.Golden(f, "llama_tiny")), "*"))
	if err != nil {
		f.Fatal(err)
	}
	for _, dir := range append(dirs, filepath.Join(shared.Root(), "models", "demo"), filepath.Join(shared.Golden(f, "projector"), "vila_mlp_downsample")) {
		if data, err := os.ReadFile(filepath.Join(dir, "config.json")); err == nil {
			f.Add(data, false)
		}
	}
	for _, s := range []string{bluelm, smolvlm, internvl, llava, `{"model_type": "minicpm", ` + textSizes + `}`,
		`{"model_type": "llama", "rope_scaling": {"rope_type": "llama3"}, "eos_token_id": [1, 2], ` + textSizes + `}`} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, head bool) {
		w := names{"lm_head.weight": head, "vision_model.head.probe": head}
		m, err := Read("config.json", data, w)
		if err != nil {
			return
		}
		if m.Text == nil && m.Vision == nil && m.Projector == nil {
			t.Fatal("a model of nothing")
		}
		if _, err := m.VisionGraph(w, VisionOptions{Taps: head}); err == nil {
			t.Error("a vision graph without weights")
		}
		if _, err := m.Prefill(w, TextOptions{Taps: head}); err == nil {
			t.Error("a prefill graph without weights")
		}
		if _, err := m.Decode(w, TextOptions{}); err == nil {
			t.Error("a decode graph without weights")
		}
		if _, err := m.ProjectorGraph(w, 16, head); err == nil {
			t.Error("a projector graph without weights")
		}
		if m.Images != nil {
			useImages(t, m.Images)
		}
	})
}

// useImages does with a description what a prompt needs.
func useImages(t *testing.T, im *Images) {
	im, err := im.Names(func(int64) string { return "p" }, func(string) (int64, bool) { return 7, true })
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []tiling.Size{{W: 1, H: 1}, {W: 100, H: 50}, {W: 3, H: 20000}} {
		l, err := im.Tiling.Layout(s.W, s.H)
		if err != nil {
			continue
		}
		n := im.Embeddings(l.Grid)
		if n < 0 {
			t.Fatalf("%d embeddings", n)
		}
		if n < 1<<16 {
			im.Expand(l.Grid, func(int64) string { return "x" })
		}
	}
}

func FuzzPreprocessor(f *testing.F) {
	data, err := os.ReadFile(filepath.Join(shared.Root(), "models", "demo", "preprocessor_config.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, s := range []string{
		`{"do_center_crop": true, "crop_size": {"height": 16, "width": 16}, "size": {"shortest_edge": 20}, "resample": 3}`,
		`{"max_image_size": {"longest_edge": 16}, "size": {"longest_edge": 80}, "do_image_splitting": true}`,
		`{"do_normalize": false, "do_rescale": false, "image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1], "size": 16}`,
		`{"tile_size": 16, "max_tiles": 4, "tile_alpha": 0.5, "pad_value": 255}`,
	} {
		f.Add([]byte(s))
	}
	var all []*Images
	for _, c := range []string{bluelm, smolvlm, internvl, llava} {
		all = append(all, read(f, c, names{}).Images)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, im := range all {
			if out, err := im.Preprocessor("p.json", data); err == nil {
				useImages(t, out)
			}
		}
	})
}
