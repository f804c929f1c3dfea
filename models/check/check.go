package check

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/models/ckpt"
	"github.com/heddle-ml/heddle/models/ckpt/safetensors"
	"github.com/heddle-ml/heddle/scheduler"
)

// Options configure a check. The zero value is the default.
type Options struct {
	Registry *hal.Registry // nil means hal.Default
	Policy   scheduler.Policy
	// Atol, if positive, is the absolute tolerance of every floating-point tensor.
	// The default is 1e-4, and 5e-5 for a SigLIP tower alone (see
	// testdata/golden/README.md). Integers are compared exactly.
	Atol float64
}

// Result is the comparison of one tensor.
type Result struct {
	Name  string  `json:"name"`
	Shape []int64 `json:"shape"`
	// Role is "input" for what the model was run on, else "compared".
	Role string `json:"role"`
	// MaxAbs is the largest |got-want|, MaxRel the largest |got-want| / |want|
	// where |want| > atol; the largest float64 where one is not finite.
	MaxAbs float64 `json:"max_abs"`
	MaxRel float64 `json:"max_rel"`
	Atol   float64 `json:"atol"`
	OK     bool    `json:"ok"`
	// Reason says what is wrong where the numbers do not.
	Reason string `json:"reason,omitempty"`
}

// Report is the outcome of a check, in order of name.
type Report struct {
	Results []Result
	// Computed holds what was compared, under the same names: floats as F32,
	// integers as I64.
	Computed []safetensors.Entry
}

// OK reports whether every tensor passed, and there was one to compare.
func (r *Report) OK() bool {
	compared := false
	for _, x := range r.Results {
		compared = compared || x.Role == "compared"
		if !x.OK {
			return false
		}
	}
	return compared
}

// tensor is a value, expected or computed. One of f and i is set.
type tensor struct {
	shape []int64
	f     []float32
	i     []int64
}

// Run checks the model in the folder at path against an expected file.
func Run(ctx context.Context, path, expected string, o Options) (*Report, error) {
	f, err := safetensors.Open(expected)
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	defer f.Close()
	want := map[string]tensor{}
	for _, t := range f.Tensors() {
		x := tensor{shape: t.Shape}
		switch t.DType {
		case safetensors.F32, safetensors.F64, safetensors.F16, safetensors.BF16:
			x.f, err = f.Float32s(t)
		default:
			x.i, err = f.Int64s(t)
		}
		if err != nil {
			return nil, fmt.Errorf("check: %s: %w", expected, err)
		}
		want[t.Name] = x
	}
	files, err := ckpt.Open(path)
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	defer files.Close()
	model, err := arch.Open(files)
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	r := o.Registry
	if r == nil {
		r = hal.Default
	}
	devs, gone, err := scheduler.Open(ctx, r, o.Policy)
	if err != nil {
		return nil, err
	}
	e := &engine{files: files, model: model, devs: devs, policy: o.Policy.Without(gone), want: want, got: map[string]tensor{}, inputs: map[string]bool{}}
	defer func() {
		for _, d := range devs {
			_ = d.Close() // nothing of it is in use any more
		}
	}()
	if err := e.run(ctx); err != nil {
		return nil, err
	}
	atol := o.Atol
	if atol <= 0 {
		atol = 1e-4
		if model.Family == "siglip_vision_model" {
			atol = 5e-5
		}
	}
	return compare(want, e.got, e.inputs, atol), nil
}

func compare(want, got map[string]tensor, inputs map[string]bool, atol float64) *Report {
	names := make([]string, 0, len(want))
	for n := range want {
		names = append(names, n)
	}
	sort.Strings(names)
	r := &Report{}
	for _, n := range names {
		w := want[n]
		res := Result{Name: n, Shape: w.shape, Role: "compared", Atol: atol}
		if w.f == nil {
			res.Atol = 0
		}
		g, ok := got[n]
		switch {
		case inputs[n]:
			res.Role, res.OK = "input", true
			g = w
		case !ok:
			res.Reason = "the model does not produce it"
			r.Results = append(r.Results, res)
			continue
		case !slices.Equal(g.shape, w.shape):
			res.Reason = fmt.Sprintf("the model's has shape %v", g.shape)
		case (g.f == nil) != (w.f == nil) && len(g.f)+len(g.i) > 0:
			res.Reason = "one is of integers, the other of floats"
		default:
			res.OK = res.measure(g, w)
		}
		r.Results = append(r.Results, res)
		r.Computed = append(r.Computed, entry(n, g))
	}
	return r
}

// measure fills in the errors and reports whether they are within Atol.
func (res *Result) measure(got, want tensor) bool {
	ok := true
	at := func(g, w float64) {
		d := math.Abs(g - w)
		if math.IsNaN(d) {
			// Equal infinities differ by nothing; whatever else is not a number
			// is wrong.
			if g == w {
				return
			}
			d = math.Inf(1)
		}
		ok = ok && d <= res.Atol
		// JSON has no infinity.
		res.MaxAbs = max(res.MaxAbs, min(d, math.MaxFloat64))
		if math.Abs(w) > res.Atol && !math.IsInf(w, 0) {
			res.MaxRel = max(res.MaxRel, min(d/math.Abs(w), math.MaxFloat64))
		}
	}
	for i := range want.f {
		at(float64(got.f[i]), float64(want.f[i]))
	}
	for i := range want.i {
		if got.i[i] != want.i[i] {
			at(float64(got.i[i]), float64(want.i[i]))
			ok = false
		}
	}
	if !ok && res.Reason == "" {
		res.Reason = "out of tolerance"
	}
	return ok
}

func entry(name string, t tensor) safetensors.Entry {
	if t.i != nil {
		e := safetensors.Entry{Name: name, DType: safetensors.I64, Shape: t.shape}
		for _, v := range t.i {
			e.Data = binary.LittleEndian.AppendUint64(e.Data, uint64(v))
		}
		return e
	}
	e := safetensors.Entry{Name: name, DType: safetensors.F32, Shape: t.shape}
	for _, v := range t.f {
		e.Data = binary.LittleEndian.AppendUint32(e.Data, math.Float32bits(v))
	}
	return e
}

var errNoInputs = errors.New("check: the expected file holds no inputs for this model: want pixel_values, input, or seqN.input_ids")

// sequences lists the names of the sequences in the file, sorted.
func sequences(want map[string]tensor) []string {
	var out []string
	for n := range want {
		if s, ok := strings.CutSuffix(n, ".input_ids"); ok {
			out = append(out, s)
		}
	}
	sort.Strings(out)
	return out
}
