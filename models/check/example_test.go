package check_test

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/check"
)

func ExampleRun() {
	dir := filepath.Join(shared.Root(), "testdata", "golden", "qwen2_tiny")
	report, err := check.Run(context.Background(), dir, filepath.Join(dir, "expected.safetensors"), check.Options{Registry: registry})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(report.Results), "tensors, all within tolerance:", report.OK())
	// Output: 32 tensors, all within tolerance: true
}
