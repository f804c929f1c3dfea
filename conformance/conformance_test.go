package conformance_test

import (
	"regexp"
	"testing"

	"github.com/heddle-ml/heddle/conformance"
	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/internal/shared"
)

// The CPU driver passes the whole suite. Each case is a subtest.
func TestCPU(t *testing.T) {
	o := conformance.Options{}
	if testing.Short() {
		o.Match = regexp.MustCompile(`^(memory|sync\.(order|timeline)|lifecycle\.caps|errors\.args|determinism\.matmul|blocks\.(chunks|cache)|ops\.(matmul|conv|softmax|layernormalization|attention|gather)\.f32)\.`)
	}
	conformance.Test(t, cpu.Driver{}, o)
}

// So does it in a process of its own, as far as that makes a difference.
func TestCPUIsolated(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts hundreds of processes")
	}
	r, err := conformance.Run(t.Context(), cpu.Driver{}, conformance.Options{Isolate: true,
		Match: regexp.MustCompile(`^(memory\.(move|args|limits|share)|sync|lifecycle\.(caps|driver|closed)|errors\.(weights|arguments|data)|isolation\.kill|blocks\.chunks\.kv_f32)`)})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failures() {
		t.Errorf("%s: %s: %s", f.ID, f.Status, f.Reason)
	}
}

// The ONNX project's cases run where they are.
func TestONNX(t *testing.T) {
	dir := shared.Dir(t, "onnx-node-tests")
	r, err := conformance.Run(t.Context(), cpu.Driver{}, conformance.Options{ONNXTests: dir, Match: regexp.MustCompile(`^onnx\.`)})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failures() {
		t.Errorf("%s: %s: %s", f.ID, f.Status, f.Reason)
	}
	if n := len(r.Results); n < 584 {
		t.Errorf("%d cases were found, want 584", n)
	}
}

// A driver of one's own is tested like this.
func ExampleTest() {
	_ = func(t *testing.T) {
		conformance.Test(t, null.Driver{}, conformance.Options{})
	}
	// Output:
}
