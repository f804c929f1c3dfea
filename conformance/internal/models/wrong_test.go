package models_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/heddle-ml/heddle/conformance/internal/models"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/conformance/internal/try"
	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/fault"
	"github.com/stretchr/testify/require"
)

// Cases fail on devices that are wrong in what they are about.
func TestWrong(t *testing.T) {
	for _, c := range []struct {
		name  string
		d     driver.Driver
		f     fault.Fault
		cases []string
	}{
		{"noise in the third digit", cpu.Driver{}, fault.Fault{Kind: fault.Half, Op: "Attention"},
			[]string{"vision.one_tile", "language.logits", "multimodal.logits.one_tile"}},
		{"a gain of a thousandth", cpu.Driver{}, fault.Fault{Kind: fault.Bias, Amount: 1e-3},
			[]string{"vision.one_tile", "language.logits", "language.score"}},
		{"a wrong logit", cpu.Driver{}, fault.Fault{Kind: fault.Element, Amount: 20, Op: "TensorScatter"},
			[]string{"language.logits", "language.answer", "quantized.w4.logits", "multimodal.logits.one_tile"}},
		{"negated", cpu.Driver{}, fault.Fault{Kind: fault.Sign},
			[]string{"quantized.w8.vision", "quantized.w8.logits", "language.answer", "multimodal.answer.word", "multimodal.cancel"}},
		{"no cache", cpu.Driver{}, fault.Fault{Kind: fault.StateDrop},
			[]string{"language.answer", "language.second_turn", "language.score", "multimodal.chunk7", "language.cancel"}},
		{"a cache one row off", cpu.Driver{}, fault.Fault{Kind: fault.StateShift},
			[]string{"multimodal.turns", "language.score", "multimodal.score"}},
		{"rows exchanged", cpu.Driver{}, fault.Fault{Kind: fault.SwapRows, Op: "Conv"},
			[]string{"vision.one_tile", "vision.four_tiles", "quantized.w8.vision"}},
		{"pictures negated", cpu.Driver{}, fault.Fault{Kind: fault.Sign, Op: "Conv"},
			[]string{"multimodal.answer.word", "multimodal.two_pictures", "multimodal.score", "multimodal.turns", "multimodal.chunk16"}},
		{"nothing computed", null.Driver{}, fault.Fault{Kind: fault.Slow, After: 1 << 30}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var struck atomic.Int64
			c.f.Struck = func() { struck.Add(1) }
			b, err := try.Open(t.Context(), fault.Driver(c.d, c.f), "")
			require.NoError(t, err)
			defer b.Close()
			tried := 0
			for _, k := range models.Cases() {
				if c.cases != nil && !slices.Contains(c.cases, strings.TrimPrefix(k.ID, "models.")) {
					continue
				}
				tried++
				before := struck.Load()
				_, err := b.Run(t.Context(), k)
				require.Error(t, err, k.ID)
				require.False(t, suite.IsUnsupported(err), "%s: %v", k.ID, err)
				if c.cases != nil {
					require.Greater(t, struck.Load(), before, k.ID)
				}
			}
			if c.cases != nil {
				require.Equal(t, len(c.cases), tried)
			}
		})
	}
}
