package demo_test

import (
	"context"
	"fmt"
	"io/fs"
	"log"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/models/img"
)

// Example asks the embedded model about a picture.
func Example() {
	ctx := context.Background()
	m, err := models.OpenFS(ctx, demo.Name, demo.FS, &models.Options{Registry: hal.NewRegistry(cpu.Driver{})})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	s, err := m.NewSession(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	picture, err := img.Open("examples/chart.png", img.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	a, err := s.Ask(ctx, models.Turn{Text: "Which bar is tallest?", Images: []img.RGB{picture}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a.Text)
	// Output: Bar B is the tallest.
}

// Every file that a Hugging Face folder has is embedded, and nothing else.
func TestFS(t *testing.T) {
	var names []string
	require.NoError(t, fs.WalkDir(demo.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		names = append(names, path)
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		got, err := demo.FS.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, got, path)
		return nil
	}))
	require.Equal(t, []string{
		"config.json", "generation_config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json",
	}, names)
}
