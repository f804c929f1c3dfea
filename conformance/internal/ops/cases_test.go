package ops

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/ops"
)

// programs makes the graphs of all forms, in f32 or what stands for it.
func programs(t *testing.T, o operator, f func(name string, p *suite.Program)) {
	op := ops.Get(o.split())
	for _, form := range o.forms {
		e := form.main(op)
		l := suite.NewLab(form.name)
		form.build(o.name, e, false)(l)
		p, err := l.Program()
		require.NoError(t, err, "%s of %s in %s", form.name, o.name, e)
		f(form.name, p)
	}
}

// Every operator has cases: in every type, with every attribute set by some,
// and taken apart if it can be.
func TestComplete(t *testing.T) {
	ids := map[string]bool{}
	form := regexp.MustCompile(`^ops(\.[a-z0-9_]+)+$`)
	for _, c := range Cases() {
		require.Regexp(t, form, c.ID)
		require.False(t, ids[c.ID], "two cases are %s", c.ID)
		ids[c.ID] = true
	}
	has := func(format string, args ...any) bool {
		prefix := fmt.Sprintf(format, args...)
		for id := range ids {
			if strings.HasPrefix(id, prefix) {
				return true
			}
		}
		return false
	}
	tables := tables()
	for _, op := range ops.List() {
		i := slices.IndexFunc(tables, func(o operator) bool { return o.name == op.Ref.String() })
		if !has("ops.%s.", operator{name: op.Ref.String()}.id()) || i < 0 {
			t.Errorf("no case of %s", op.Ref)
			continue
		}
		o := tables[i]
		for _, e := range elems(op.Inputs[0].Types) {
			if !has("ops.%s.%s.", o.id(), e) {
				t.Errorf("no case of %s in %s", op.Ref, e)
			}
		}
		seen := map[string]bool{}
		apart := false
		programs(t, o, func(_ string, p *suite.Program) {
			for k := range p.Graph.Nodes {
				if n := &p.Graph.Nodes[k]; n.Op == op.Ref {
					for _, a := range n.Attrs {
						seen[a.Name] = true
					}
				}
			}
		})
		for _, a := range op.Attrs {
			if !seen[a.Name] {
				t.Errorf("no case of %s sets %s", op.Ref, a.Name)
			}
		}
		for id := range ids {
			apart = apart || strings.HasPrefix(id, "ops."+o.id()+".") && strings.HasSuffix(id, ".decomposed")
		}
		if op.Decompose != nil && !op.Updates && !apart {
			t.Errorf("%s is never taken apart", op.Ref)
		}
	}
}

// elems lists a set.
func elems(s ops.TypeSet) []string { return strings.Fields(s.String()) }

// What models compute in f32 belongs to the profiles, and nothing else does:
// their cases stay within the operators that are named here.
func TestProfiles(t *testing.T) {
	models := strings.Fields("Add Mul MatMul Conv LayerNormalization RMSNormalization Gelu Swish Relu Sigmoid Softmax Attention RotaryEmbedding TensorScatter " +
		"Gather Reshape Transpose Concat Slice Split Expand Pad Where Cast")
	weights := strings.Fields("MatMul Gather heddle.Linear QuantizeLinear DequantizeLinear DynamicQuantizeLinear TensorScatter Attention")
	n := map[suite.Profile]int{}
	for _, o := range tables() {
		op := ops.Get(o.split())
		for _, f := range o.forms {
			for p, allowed := range map[suite.Profile][]string{vision: models, text: models, quantum: weights} {
				if f.profiles&p != 0 {
					n[p]++
					require.Contains(t, allowed, op.Ref.String(), "form %s", f.name)
				}
			}
		}
	}
	for _, p := range []suite.Profile{vision, text, quantum} {
		require.NotZero(t, n[p], p.String())
	}
}

func ExampleCases() {
	for _, c := range Cases() {
		if c.ID == "ops.matmul.w4.block32.m129_k4304_n17" || c.ID == "ops.attention.f32.gqa36x4_d64_q5_kv77.causal" {
			fmt.Println(c.ID, c.Profiles)
		}
	}
	// Output:
	// ops.attention.f32.gqa36x4_d64_q5_kv77.causal language
	// ops.matmul.w4.block32.m129_k4304_n17 quantized
}
