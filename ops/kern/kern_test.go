package kern

import (
	"math"
	"strings"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern/feat"
)

func TestEveryUsableTierIsReported(t *testing.T) {
	usable := 0
	for _, s := range Report() {
		t.Logf("%v: usable %v %s", s.Tier, s.Usable, s.Reason)
		if s.Usable {
			usable++
		}
		if s.Usable == (s.Reason != "") {
			t.Errorf("%v: usable %v with reason %q", s.Tier, s.Usable, s.Reason)
		}
	}
	if got := Usable(); len(got) != usable || got[0].Tier != feat.Generic {
		t.Errorf("%d usable tables, %d reported", len(got), usable)
	}
	for _, table := range assembled {
		if feat.Detect().Missing(table.Tier) != "" {
			continue
		}
		if err := check(table); err != nil {
			t.Errorf("%v: %v", table.Tier, err)
		}
	}
}

// A kernel that is wrong in one element must disable its tier, and only it.
func TestWrongKernelDisablesTier(t *testing.T) {
	breaks := map[string]func(*Table){
		"Tile": func(b *Table) {
			b.Tile = func(p *Tile) {
				tileGeneric(p)
				if p.Rows == 5 {
					*p.C += 0.5
				}
			}
		},
		"Dot":      func(b *Table) { b.Dot = func(*Rows) {} },
		"Axpy":     func(b *Table) { b.Axpy = func(*Rows) {} },
		"Exp":      func(b *Table) { b.Exp = sigmoidGeneric },
		"Sigmoid":  func(b *Table) { b.Sigmoid = tanhGeneric },
		"Tanh":     func(b *Table) { b.Tanh = erfGeneric },
		"Erf":      func(b *Table) { b.Erf = tanhGeneric },
		"SiLU":     func(b *Table) { b.SiLU = geluGeneric },
		"GELU":     func(b *Table) { b.GELU = geluTanhGeneric },
		"GELUTanh": func(b *Table) { b.GELUTanh = geluGeneric },
		"ExpSum":   func(b *Table) { b.ExpSum = func([]float32, []float32, float32) float32 { return 1 } },
		"Max":      func(b *Table) { b.Max = sumGeneric },
		"Sum":      func(b *Table) { b.Sum = func(x []float32) float32 { return sumGeneric(x[:len(x)&^7]) } },
		"SumSq":    func(b *Table) { b.SumSq = func(x []float32, _ float32) float32 { return sumSqGeneric(x, 0) } },
		"Scale": func(b *Table) {
			b.Scale = func(dst, src []float32, shift, scale float32, w, _ []float32) {
				scaleGeneric(dst, src, shift, scale, w, nil)
			}
		},
		"F16ToF32":  func(b *Table) { b.F16ToF32 = b.BF16ToF32 },
		"F32ToF16":  func(b *Table) { b.F32ToF16 = b.F32ToBF16 },
		"BF16ToF32": func(b *Table) { b.BF16ToF32 = b.F16ToF32 },
		"F32ToBF16": func(b *Table) {
			b.F32ToBF16 = func(dst []uint16, src []float32) {
				for i := range dst {
					dst[i] = uint16(math.Float32bits(src[i]) >> 16)
				}
				if len(dst) > 20 {
					dst[20]++
				}
			}
		},
		"past the end": func(b *Table) {
			b.Exp = func(dst, src []float32) {
				expGeneric(dst, src)
				dst[:cap(dst)][len(dst)] = 0
			}
		},
	}
	have := feat.Set{Arch: "amd64", AVX2: true, FMA: true, F16C: true}
	for name, breakIt := range breaks {
		bad := *generic
		bad.Tier = feat.AVX2
		if r := examine(have, []*Table{generic, &bad}); len(r.usable) != 2 {
			t.Fatalf("sound copy: %+v", r.report)
		}
		breakIt(&bad)
		r := examine(have, []*Table{generic, &bad})
		if len(r.usable) != 1 || r.usable[0] != generic {
			t.Errorf("broken %s: tier not disabled", name)
			continue
		}
		if _, err := r.get(feat.AVX2); err == nil || !strings.Contains(err.Error(), "known-answer") {
			t.Errorf("broken %s: reason %v", name, err)
		}
	}
}

func TestSelect(t *testing.T) {
	t.Setenv(feat.Env, "generic")
	if table, err := Select(); err != nil || table != generic {
		t.Errorf("forced generic: %v, %v", table, err)
	}
	t.Setenv(feat.Env, "nonsense")
	if _, err := Select(); err == nil {
		t.Error("unknown tier accepted")
	}
	t.Setenv(feat.Env, "")
	table, err := Select()
	if err != nil {
		t.Fatal(err)
	}
	if all := Usable(); table != all[len(all)-1] {
		t.Errorf("selected %v, best is %v", table.Tier, all[len(all)-1].Tier)
	}
	for _, s := range Report() {
		t.Setenv(feat.Env, s.Tier.String())
		table, err := Select()
		if s.Usable != (err == nil) || err == nil && table.Tier != s.Tier {
			t.Errorf("forced %v (usable %v): %v", s.Tier, s.Usable, err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for b.Loop() {
		for _, t := range Usable() {
			if err := check(t); err != nil {
				b.Fatal(err)
			}
		}
	}
}
