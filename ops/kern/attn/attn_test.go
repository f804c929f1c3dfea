package attn_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/attn"
	"github.com/heddle-ml/heddle/ops/kern/pool"
)

const guardValue = 4321.5

func random(rng *rand.Rand, n int) []float32 {
	buf := make([]float32, n+20)
	for i := range buf {
		buf[i] = guardValue
	}
	x := buf[1 : 1+n : len(buf)]
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// reference computes row t of head h in float64 by the definition.
func reference(a *attn.Args, h, t int) []float64 {
	kv := h / (a.Heads / a.KVHeads)
	keys := a.Tk
	if a.Causal {
		keys = min(keys, max(a.Offset+t+1, 0))
	}
	score := make([]float64, keys)
	top, sum := math.Inf(-1), 0.0
	for j := range score {
		for d := range a.D {
			score[j] += float64(a.Q[h*a.QHead+t*a.QRow+d]) * float64(a.K[kv*a.KHead+j*a.KRow+d])
		}
		score[j] *= float64(a.Scale)
		if a.Softcap > 0 {
			score[j] = float64(a.Softcap) * math.Tanh(score[j]/float64(a.Softcap))
		}
		if a.Mask != nil {
			score[j] += float64(a.Mask[h*a.MaskHead+t*a.MaskRow+j])
		}
		top = max(top, score[j])
	}
	out := make([]float64, a.Dv)
	if math.IsInf(top, -1) {
		return out
	}
	for j := range score {
		score[j] = math.Exp(score[j] - top)
		sum += score[j]
	}
	for j := range score {
		for d := range out {
			out[d] += score[j] / sum * float64(a.V[kv*a.VHead+j*a.VRow+d])
		}
	}
	return out
}

type shape struct{ heads, kv, tq, tk, d, dv int }

var shapes = []shape{
	{1, 1, 1, 1, 1, 1}, {2, 2, 3, 5, 4, 4}, {4, 2, 1, 63, 16, 16}, {4, 1, 1, 64, 8, 24}, {8, 2, 1, 65, 64, 64},
	{6, 3, 7, 7, 17, 15}, {4, 2, 9, 130, 32, 32}, {1, 1, 97, 97, 16, 16}, {3, 1, 70, 200, 24, 40}, {2, 1, 8, 0, 8, 8},
	{2, 2, 5, 9, 0, 7}, {0, 0, 4, 4, 4, 4}, {2, 1, 0, 4, 4, 4}, {5, 5, 12, 33, 20, 1},
}

// build makes arguments with heads side by side in each row, as a projection
// leaves them, or heads apart, as a cache does, and room behind the valid keys.
func build(rng *rand.Rand, s shape, headsApart bool) *attn.Args {
	a := &attn.Args{Heads: s.heads, KVHeads: s.kv, Tq: s.tq, Tk: s.tk, D: s.d, Dv: s.dv, Scale: 0.4}
	room := s.tk + 3
	a.QRow, a.QHead = s.heads*s.d, s.d
	a.ORow, a.OHead = s.heads*s.dv+1, s.dv
	a.KRow, a.KHead, a.VRow, a.VHead = s.kv*s.d, s.d, s.kv*s.dv, s.dv
	if headsApart {
		a.KRow, a.KHead, a.VRow, a.VHead = s.d, s.d*room, s.dv, s.dv*room
	}
	a.Q = random(rng, s.tq*s.heads*s.d)
	a.K, a.V = random(rng, room*s.kv*s.d), random(rng, room*s.kv*s.dv)
	a.Out = random(rng, s.tq*a.ORow)
	// Rows behind the valid ones must never be read.
	for kv := range s.kv {
		for j := s.tk; j < room; j++ {
			for d := range s.d {
				a.K[kv*a.KHead+j*a.KRow+d] = float32(math.NaN())
			}
			for d := range s.dv {
				a.V[kv*a.VHead+j*a.VRow+d] = float32(math.NaN())
			}
		}
	}
	return a
}

func compare(t *testing.T, name string, a *attn.Args) {
	t.Helper()
	for h := range a.Heads {
		for row := range a.Tq {
			for d, want := range reference(a, h, row) {
				got := float64(a.Out[h*a.OHead+row*a.ORow+d])
				if !(math.Abs(got-want) <= 3e-6*(1+math.Abs(want))) {
					t.Fatalf("%s: head %d row %d [%d] = %v, want %v", name, h, row, d, got, want)
				}
			}
		}
	}
	for _, v := range a.Out[len(a.Out):cap(a.Out)] {
		if v != guardValue {
			t.Fatalf("%s: wrote past the end", name)
		}
	}
}

func TestRun(t *testing.T) {
	p := pool.New(3)
	defer p.Close()
	inf := float32(math.Inf(-1))
	for _, table := range kern.Usable() {
		t.Run(table.Tier.String(), func(t *testing.T) {
			r := attn.New(table, p)
			for i, s := range shapes {
				for variant := range 12 {
					rng := rand.New(rand.NewPCG(uint64(i), uint64(variant)))
					a := build(rng, s, variant&1 != 0)
					name := fmt.Sprintf("%+v variant %d", s, variant)
					if variant&2 != 0 {
						a.Causal, a.Offset = true, []int{s.tk - s.tq, 0, -2, s.tk + 5}[i%4]
					}
					switch variant / 4 {
					case 1:
						a.Softcap = 1.5
						a.MaskHead, a.MaskRow = s.tq*s.tk, s.tk
						a.Mask = random(rng, s.heads*s.tq*s.tk)
						for m := range a.Mask {
							if m%3 != 0 {
								a.Mask[m] = inf
							}
						}
						if s.tq > 2 && s.heads > 0 { // hide everything from one row
							for m := range s.tk {
								a.Mask[2*s.tk+m] = inf
							}
						}
					case 2: // one row for all
						a.Mask = random(rng, s.tk)
						for m := range a.Mask[:s.tk*2/3] {
							a.Mask[m] = inf
						}
					}
					a.Scratch = random(rng, r.Scratch(a))
					if err := r.Run(a); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					compare(t, name, a)
				}
			}
		})
	}
}

// Large scores overflow without the running maximum.
func TestLargeScores(t *testing.T) {
	for _, table := range kern.Usable() {
		r := attn.New(table, nil)
		for _, tq := range []int{1, 20} {
			rng := rand.New(rand.NewPCG(3, uint64(tq)))
			a := build(rng, shape{2, 1, tq, 300, 8, 8}, true)
			for j := range a.Tk { // the maximum grows with every block
				a.K[j*a.KRow] = float32(j)
			}
			for i := 0; i < len(a.Q); i += 8 {
				a.Q[i] = 200
			}
			a.Scratch = make([]float32, r.Scratch(a))
			if err := r.Run(a); err != nil {
				t.Fatal(err)
			}
			compare(t, "large scores", a)
		}
	}
}

// A prompt in one piece and in chunks over a growing cache is the same thing.
func TestChunksAgree(t *testing.T) {
	for _, table := range kern.Usable() {
		r := attn.New(table, nil)
		rng := rand.New(rand.NewPCG(8, 8))
		whole := build(rng, shape{4, 2, 50, 50, 16, 16}, true)
		whole.Causal = true
		whole.Scratch = make([]float32, r.Scratch(whole))
		if err := r.Run(whole); err != nil {
			t.Fatal(err)
		}
		for _, chunk := range []int{1, 7, 16} {
			for at := 0; at < 50; at += chunk {
				part := *whole
				part.Tq = min(chunk, 50-at)
				part.Offset, part.Tk = at, at+part.Tq
				part.Q = whole.Q[at*whole.QRow:]
				part.Out = make([]float32, part.Tq*part.ORow)
				if err := r.Run(&part); err != nil {
					t.Fatal(err)
				}
				for i, got := range part.Out {
					if i%part.ORow == part.ORow-1 {
						continue // the gap between rows
					}
					want := whole.Out[at*whole.ORow+i]
					if math.Abs(float64(got-want)) > 3e-6 {
						t.Fatalf("chunk %d at %d: [%d] = %v, in one piece %v", chunk, at, i, got, want)
					}
				}
			}
		}
	}
}

func TestRunIsDeterministic(t *testing.T) {
	for _, table := range kern.Usable() {
		rng := rand.New(rand.NewPCG(4, 4))
		a := build(rng, shape{6, 2, 90, 120, 32, 32}, false)
		var first []float32
		for _, workers := range []int{1, 2, 5} {
			p := pool.New(workers)
			r := attn.New(table, p)
			a.Scratch = make([]float32, r.Scratch(a))
			a.Out = make([]float32, len(a.Out))
			if err := r.Run(a); err != nil {
				t.Fatal(err)
			}
			p.Close()
			if first == nil {
				first = a.Out
			}
			for i := range first {
				if first[i] != a.Out[i] {
					t.Fatalf("%v, %d workers: [%d] differs", table.Tier, workers, i)
				}
			}
		}
	}
}

func TestRunRefuses(t *testing.T) {
	r := attn.New(kern.Usable()[0], nil)
	for name, spoil := range map[string]func(*attn.Args){
		"Q":            func(a *attn.Args) { a.Q = a.Q[:len(a.Q)-1] },
		"K":            func(a *attn.Args) { a.Tk += 4 },
		"V":            func(a *attn.Args) { a.V = a.V[:len(a.V)/2] },
		"Out":          func(a *attn.Args) { a.Out = a.Out[:len(a.Out)-2] },
		"overlap":      func(a *attn.Args) { a.ORow = 0 },
		"Mask":         func(a *attn.Args) { a.Mask = make([]float32, a.Tk-1) },
		"heads":        func(a *attn.Args) { a.KVHeads = 3 },
		"no kv heads":  func(a *attn.Args) { a.KVHeads = 0 },
		"negative":     func(a *attn.Args) { a.Tk = -1 },
		"scratch":      func(a *attn.Args) { a.Scratch = a.Scratch[1:] },
		"huge stride":  func(a *attn.Args) { a.KRow = math.MaxInt },
		"huge offset":  func(a *attn.Args) { a.Offset = math.MaxInt },
		"least offset": func(a *attn.Args) { a.Offset = math.MinInt },
		"huge rows":    func(a *attn.Args) { a.Tq = math.MaxInt },
		"softcap":      func(a *attn.Args) { a.Softcap = -1 },
	} {
		a := build(rand.New(rand.NewPCG(1, 1)), shape{4, 2, 3, 5, 4, 4}, false)
		a.Scratch = make([]float32, r.Scratch(a))
		if err := r.Run(a); err != nil {
			t.Fatal(err)
		}
		spoil(a)
		if err := r.Run(a); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRunAllocatesNothing(t *testing.T) {
	p := pool.New(2)
	defer p.Close()
	for _, table := range kern.Usable() {
		r := attn.New(table, p)
		for _, tq := range []int{1, 40} {
			a := build(rand.New(rand.NewPCG(1, 1)), shape{4, 2, tq, 100, 16, 16}, true)
			a.Scratch = make([]float32, r.Scratch(a))
			if n := testing.AllocsPerRun(20, func() {
				if err := r.Run(a); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%v, %d rows: %v allocations", table.Tier, tq, n)
			}
		}
	}
}

func ExampleRunner_Run() {
	table, err := kern.Select()
	if err != nil {
		panic(err)
	}
	r := attn.New(table, nil)
	a := attn.Args{
		Heads: 1, KVHeads: 1, Tq: 2, Tk: 2, D: 1, Dv: 1, Scale: 1, Causal: true,
		Q: []float32{0, 0}, QRow: 1, K: []float32{1, 2}, KRow: 1, V: []float32{10, 20}, VRow: 1,
		Out: make([]float32, 2), ORow: 1,
	}
	a.Scratch = make([]float32, r.Scratch(&a))
	fmt.Println(r.Run(&a), a.Out) // the first query sees one key, the second two
	// Output: <nil> [10 15]
}
