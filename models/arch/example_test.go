package arch_test

import (
	"fmt"
	"path/filepath"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/models/ckpt"
)

// A checkpoint becomes graphs; nothing of its weights is read.
func ExampleOpen() {
	files, err := ckpt.Open(filepath.Join(shared.Root(), "testdata", "golden", "vlm_tiny"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer files.Close()
	m, err := arch.Open(files)
	if err != nil {
		fmt.Println(err)
		return
	}
	vision, err := m.VisionGraph(files, arch.VisionOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	decode, err := m.Decode(files, arch.TextOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Family, "with", m.Text.Layers, "layers")
	fmt.Println("pixels:", vision.Values[vision.Inputs[0]].Type)
	fmt.Println("embeddings:", vision.Values[vision.Outputs[0].Value].Type)
	fmt.Println("logits:", decode.Values[decode.Outputs[0].Value].Type)
	// Output:
	// llava with 2 layers
	// pixels: f32[tiles,3,70,70]
	// embeddings: f32[tiles,9,48]
	// logits: f32[1,1,300]
}
