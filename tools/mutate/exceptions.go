package main

import (
	"slices"
	"strings"
)

// exception leaves changes out: those of a file (the end of its path), or of
// some functions or constants in it, or on lines that hold a text, or that are
// described so ("1 -> 0"). Empty fields match all.
type exception struct {
	file, within, line, change string
	why                        string
}

// exceptions are what the suite cannot and should not see: where a change
// leaves every result as it is (an equivalent mutant). Each entry has its
// reason. Whoever adds one has looked whether a case could tell after all.
var exceptions = []exception{
	{file: "ops/kern/check.go", why: "the known-answer check of a tier is a test itself: weakened, it changes no result"},

	// How work is cut and shared decides how long it takes, not what comes of it.
	{file: "ops/kern/pool/wait.go", within: "spinFor spinStep lostAfter restFor until", why: "how long a worker spins before it sleeps"},
	{file: "ops/kern/pool/pool.go", line: "p.spin.enabled =", why: "whether workers spin before they sleep"},
	{file: "ops/kern/pool/pool.go", within: "maxWorkers", why: "how many workers a mistaken option can start"},
	{file: "ops/kern/pool/pool.go", within: "fork", line: "helpers", why: "how many sleeping workers are woken: any one of them does all the work"},
	{file: "ops/kern/pool/pool.go", within: "fork", line: "park.wake()", why: "how many sleeping workers are woken: any one of them does all the work"},
	{file: "ops/kern/pool/pool.go", within: "take", line: "p.chunks(worker)", why: "what one worker leaves undone another does"},
	{file: "ops/kern/gemm/mul.go", within: "blockK thinK thinM blockM taskNs maxWide onTheFlyFloats", why: "how a product is cut to fit caches"},
	{file: "ops/kern/gemm/mul.go", within: "planFor", line: "panelNs", why: "an estimate of time"},
	{file: "ops/kern/gemm/mul.go", within: "planFor", line: "want", why: "how many tasks occupy the workers"},
	{file: "ops/kern/gemm/thin.go", within: "thinRows callFloats", why: "when packing pays, and how long one call of assembly lasts"},
	{file: "ops/kern/attn/attn.go", within: "packRows", why: "when packing pays"},
	{file: "ops/kern/conv/conv.go", within: "patchFloats", why: "how many patches fit caches"},
	{file: "ops/kern/tier_amd64.go", within: "chunk", why: "how long one call of assembly lasts"},
	{file: "_amd64.s", line: "VZEROUPPER", why: "what mixing vector widths costs other code"},
	{file: "drivers/cpu/elementwise.go", within: "grain", why: "how much work is worth a worker"},
	{file: "drivers/cpu/move.go", line: "per := min(max(1, grain", why: "how much work is worth a worker"},
	{file: "drivers/cpu/compile.go", within: "maxInstances", why: "how many instances are kept before the oldest is built anew"},
	{file: "drivers/cpu/compile.go", within: "instance", line: "copy(x.instances[1", why: "which instances are kept before the oldest is built anew"},
	{file: "drivers/cpu/memory.go", line: "const span", why: "how blocks are listed while memory is planned"},
	{file: ".go", within: "init", line: "register(\"", why: "an operator that is not registered is not claimed, which is any device's right"},
	{file: "drivers/cpu/util.go", within: "physicalMemory", why: "what the machine says of its memory: there is one machine to ask"},
	{file: "drivers/cpu/driver.go", within: "model", why: "what the processor is called"},

	// What is there for programs with mistakes that this one has not.
	{file: "ops/kern/pool/pool.go", line: "p.fault", why: "carries panics of kernels, which do not panic"},
	{file: "ops/kern/pool/pool.go", line: "recover()", why: "carries panics of kernels, which do not panic"},
	{file: "ops/kern/pool/pool.go", line: "p.next.Store(p.n)", why: "carries panics of kernels, which do not panic"},
	{file: "ops/kern/pool/pool.go", line: "PanicError{", why: "carries panics of kernels, which do not panic"},
	{file: "ops/kern/tile_amd64.s", line: "JMP  done", why: "no tile has other than 1 to 6 rows"},

	// One by one.
	{file: "ops/kern/pool/wait.go", within: "init", change: "1 -> 0", why: "a waker that waits until the sleeper takes its token wakes it all the same"},
	{file: "ops/kern/vec_amd64.s", line: "VPSRAD       $1, Y1, Y2", change: "VPSRAD -> VPSRLD", why: "the highest bit of both halves of the exponent is shifted out"},
	{file: "ops/kern/conv/conv.go", within: "panel", line: "n := min(nr, out-p0)", change: "- -> +", why: "columns behind the last position are packed, and never read"},
	{file: "ops/kern/generic.go", line: "dst[i] = (x-shift)*scale + b[i]", why: "no operator adds a row and multiplies by none"},
	{file: "ops/kern/tile.go", within: "tileGeneric", line: "t.K < 0 || t.Rows <= 0", why: "no tile has other than 1 to 6 rows"},
	{file: "ops/kern/reduce/reduce.go", within: "LogSumExp", change: "insert ; break", why: "the driver passes one group at a time"},
	{file: "drivers/cpu/instance.go", within: "temp", change: "7 -> 8", why: "a byte of scratch more"},
	{file: "drivers/cpu/unary.go", within: "swish", line: "if alpha != 1", why: "the general form of SiLU gives what the special one gives"},

	// Operands are checked once more where packages meet. No graph gets there
	// with ones that do not fit: the driver has computed their sizes.
	{file: "ops/kern/gemm/mul.go", within: "check plausible", why: "refuses operands that the driver never passes"},
	{file: "ops/kern/gemm/pack.go", within: "fits", why: "refuses operands that the driver never passes"},
	{file: "ops/kern/attn/attn.go", within: "check fits", why: "refuses operands that the driver never passes"},
	{file: "ops/kern/conv/shape.go", within: "check times", why: "refuses operands that the driver never passes"},
}

// pieces are functions whose second argument says how many turns of a loop a
// worker takes at a time: it decides how the loop is cut, not what it computes.
var pieces = map[string]bool{"each": true, "eachWorker": true, "For": true}

// excepted returns why a change is left out, "" if it is not. change is how it
// is described.
func excepted(s *Site, change string) string {
	for _, e := range exceptions {
		if strings.HasSuffix(s.File, e.file) && strings.Contains(s.text, e.line) && (e.change == "" || e.change == change) &&
			(e.within == "" || slices.Contains(strings.Fields(e.within), s.Func)) {
			return e.why
		}
	}
	return ""
}
