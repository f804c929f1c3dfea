package cli

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heddle-ml/heddle/models/check"
	"github.com/heddle-ml/heddle/models/ckpt/safetensors"
	"github.com/heddle-ml/heddle/tools/heddle/internal/atomicfile"
	"github.com/heddle-ml/heddle/tools/heddle/internal/tty"
)

type checkFlags struct {
	model          modelFlag
	place          placeFlags
	expected, dump string
	atol           float64
	json           bool
}

func (a *app) checkCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check --model M",
		Short: "Compare a model with reference activations",
		Long: `Runs a model on the inputs that a safetensors file holds, and compares every
activation stored there, by name, with what the device computed: embeddings,
the output of each layer, KV caches, logits, greedy continuations. A tensor
that the model does not produce counts as wrong. The exit status is 1 if any
tensor is out of tolerance.`,
		Example: `  heddle check --model testdata/golden/llama_tiny
  heddle check --model path/to/model --expected reference.safetensors --device vulkan:0
  heddle check --model path/to/model --dump computed.safetensors --json`,
		Args: atMost(0),
		RunE: a.action(func(ctx context.Context, _ []string) error { return a.check(ctx, &f) }),
	}
	fl := cmd.Flags()
	f.model.add(cmd, "model `folder`")
	fl.StringVar(&f.expected, "expected", "", "safetensors `file` with inputs and what comes of them (default: expected.safetensors in the model folder)")
	fl.StringVar(&f.dump, "dump", "", "write what was computed to this safetensors `file`, under the same names")
	fl.Float64Var(&f.atol, "atol", 0, "absolute tolerance (default: 1e-4, for a vision tower alone 5e-5)")
	fl.BoolVar(&f.json, "json", false, "print JSON")
	f.place.add(cmd, a)
	_ = cmd.MarkFlagFilename("expected", "safetensors")
	_ = cmd.MarkFlagFilename("dump", "safetensors")
	return cmd
}

// tensorCheck is the comparison of one tensor in output. An error that is no
// number is null.
type tensorCheck struct {
	Name   string  `json:"name"`
	Shape  []int64 `json:"shape"`
	Role   string  `json:"role"`
	MaxAbs number  `json:"max_abs"`
	MaxRel number  `json:"max_rel"`
	Atol   float64 `json:"atol"`
	OK     bool    `json:"ok"`
	Reason string  `json:"reason,omitempty"`
}

// number is a float that JSON may not have.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if f := float64(n); !math.IsNaN(f) && !math.IsInf(f, 0) {
		return strconv.AppendFloat(nil, f, 'g', -1, 64), nil
	}
	return []byte("null"), nil
}

func (a *app) check(ctx context.Context, f *checkFlags) error {
	if f.model == "" {
		return usagef("--model is missing: name the folder of the model to check")
	}
	if f.atol < 0 || math.IsNaN(f.atol) {
		return usagef("--atol %v: want a positive number", f.atol)
	}
	policy, err := f.place.resolve()
	if err != nil {
		return err
	}
	if err := f.model.folder(); err != nil {
		return err
	}
	expected := f.expected
	if expected == "" {
		expected = f.model.file("expected.safetensors")
		if _, err := os.Stat(expected); err != nil {
			return fmt.Errorf("%s: %w: name the file to compare with by --expected", expected, cause(err))
		}
	}
	var dump *atomicfile.File
	if f.dump != "" { // before the work, so that a wrong path costs nothing
		if dump, err = atomicfile.Create(f.dump); err != nil {
			return err
		}
		defer dump.Discard()
	}
	rep, err := check.Run(ctx, string(f.model), expected, check.Options{Registry: f.place.registry(a), Policy: policy, Atol: f.atol})
	if err != nil {
		if text := message(err); ctx.Err() == nil && !strings.Contains(text, string(f.model)) && !strings.Contains(text, expected) {
			return fmt.Errorf("model %s: %s", f.model, text)
		}
		return err
	}
	if dump != nil {
		if err := safetensors.Write(dump, rep.Computed, map[string]string{"producer": "heddle check"}); err != nil {
			return fmt.Errorf("%s: %s", f.dump, message(err))
		}
		if err := dump.Commit(); err != nil {
			return err
		}
	}
	if err := a.printCheck(f, expected, rep); err != nil {
		return err
	}
	compared, wrong := 0, 0
	for _, r := range rep.Results {
		if r.Role != "input" {
			compared++
		}
		if !r.OK {
			wrong++
		}
	}
	switch {
	case wrong > 0:
		return fmt.Errorf("%d of %s of %s differ: see the lines above", wrong, tty.Plural(compared, "tensor"), expected)
	case !rep.OK():
		return fmt.Errorf("%s holds inputs only, nothing to compare", expected)
	}
	a.note("all %s of %s are as expected", tty.Plural(compared, "tensor"), expected)
	return nil
}

func (a *app) printCheck(f *checkFlags, expected string, rep *check.Report) error {
	if f.json {
		list := []tensorCheck{}
		for _, r := range rep.Results {
			if r.Shape == nil {
				r.Shape = []int64{}
			}
			list = append(list, tensorCheck{r.Name, r.Shape, r.Role, number(r.MaxAbs), number(r.MaxRel), r.Atol, r.OK, r.Reason})
		}
		return a.json(struct {
			Model    string        `json:"model"`
			Expected string        `json:"expected"`
			OK       bool          `json:"ok"`
			Tensors  []tensorCheck `json:"tensors"`
		}{f.model.name(), expected, rep.OK(), list})
	}
	w := a.out
	t := &tty.Table{}
	for _, r := range rep.Results {
		name, shape := tty.OneLine(r.Name), fmt.Sprint(r.Shape)
		switch {
		case r.Role == "input":
			t.Row(w.Dim("input"), name, shape)
		case r.OK:
			t.Row(w.Green("ok"), name, shape, w.Dim("abs"), fmt.Sprintf("%.1e", r.MaxAbs), w.Dim("rel"), fmt.Sprintf("%.1e", r.MaxRel))
		default:
			t.Row(w.Red("WRONG"), name, shape, w.Dim("abs"), fmt.Sprintf("%.1e", r.MaxAbs), w.Dim("rel"), fmt.Sprintf("%.1e", r.MaxRel),
				w.Red(fmt.Sprintf("%s (tolerance %.1e)", r.Reason, r.Atol)))
		}
	}
	return t.Write(w)
}
