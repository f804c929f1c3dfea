package fault

import "slices"

// Kind is a kind of defect. Its value is its name in text forms.
type Kind string

// Wrong numbers. They strike runs of executables.
const (
	// Bias multiplies floating-point outputs by 1+Amount (0.001): small
	// enough for a loose tolerance, but no noise.
	Bias Kind = "bias"
	// Element changes one element of an output by Amount (1) times one more
	// than its magnitude, an integer by 1.
	Element Kind = "element"
	// Tail leaves the last row of each output, or the last elements of a
	// vector, as it was before the run.
	Tail Kind = "tail"
	// Sign negates floating-point outputs.
	Sign Kind = "sign"
	// SwapRows exchanges two rows of each output, or two elements of a
	// vector.
	SwapRows Kind = "swap-rows"
	// NaN puts NaN where an output, or an input at the same place, is
	// denormal or not below Amount (10000) in magnitude.
	NaN Kind = "nan"
	// Half rounds f32 and f64 outputs to f16, as a device does that claims
	// one type and computes in another.
	Half Kind = "half"
	// OffByTwo adds two steps to outputs of 8 and 16 bit integers.
	OffByTwo Kind = "off-by-two"
	// Jitter flips the last bit of some floating-point outputs, others each
	// time.
	Jitter Kind = "jitter"
	// NoOutput leaves all outputs as they were before the run.
	NoOutput Kind = "no-output"
)

// Wrong memory. They strike runs and allocations.
const (
	// Overrun writes 16 bytes behind each output, where its memory goes on.
	Overrun Kind = "overrun"
	// WriteInput changes a byte of each input.
	WriteInput Kind = "write-input"
	// StateShift puts what a run wrote to a state one row further.
	StateShift Kind = "state-shift"
	// StateDrop forgets what a run wrote to its states.
	StateDrop Kind = "state-drop"
	// StateTwice writes what a run wrote to a state once more, one row
	// further.
	StateTwice Kind = "state-twice"
	// CopyOneRow copies only the first row of strided copies.
	CopyOneRow Kind = "copy-one-row"
	// DirtyMemory allocates memory that is not zeroed, where the host sees it.
	DirtyMemory Kind = "dirty-memory"
	// Overcommit says yes to allocations that the driver refuses; using the
	// memory fails.
	Overcommit Kind = "overcommit"
	// AliasMemory gives an allocation the memory of the one before, where
	// that is large enough.
	AliasMemory Kind = "alias-memory"
	// SharedScratch lets runs of different queues that overlap in time
	// exchange their outputs.
	SharedScratch Kind = "shared-scratch"
)

// Wrong order. They strike batches.
const (
	// EarlySignal signals before the work is done: that happens when the
	// queue gets its next batch, and what is downloaded then is lost.
	EarlySignal Kind = "early-signal"
	// NeverSignal does the work and never says so.
	NeverSignal Kind = "never-signal"
	// IgnoreWait does not wait for a batch's wait points.
	IgnoreWait Kind = "ignore-wait"
	// IgnoreCancel goes on waiting when the context has ended.
	IgnoreCancel Kind = "ignore-cancel"
	// SwallowError signals batches that failed.
	SwallowError Kind = "swallow-error"
	// RefuseSubmit refuses batches for no reason.
	RefuseSubmit Kind = "refuse-submit"
	// Abandon neither finishes nor fails what waits when a queue is closed.
	Abandon Kind = "abandon"
	// Slow makes runs take Amount (10) times as long.
	Slow Kind = "slow"
)

// Wrong answers. They strike compilation, capabilities and errors.
const (
	// WrongError returns errors that wrap none of hal/driver's.
	WrongError Kind = "wrong-error"
	// AcceptInvalid compiles what the driver refuses, malformed graphs too,
	// to executables that compute nothing.
	AcceptInvalid Kind = "accept-invalid"
	// RefuseCompile supports the nodes and refuses to compile them.
	RefuseCompile Kind = "refuse-compile"
	// Overclaim lists an operator in the capabilities and supports no node of it.
	Overclaim Kind = "overclaim"
	// CacheAnything loads truncated, damaged and foreign blobs. Where the
	// driver has no cache, one is made up.
	CacheAnything Kind = "cache-anything"
	// CacheWrong loads executables whose outputs are zero, as those of some
	// other graph.
	CacheWrong Kind = "cache-wrong"
)

// Wrong ends. They strike what their names say, Crash, Hang and Lost batches.
const (
	// Leak keeps a goroutine and 64 KiB for everything that is closed.
	Leak Kind = "leak"
	// UseAfterClose closes nothing: what was closed goes on working.
	UseAfterClose Kind = "use-after-close"
	// Panic panics in Submit, PanicCompile in Compile.
	Panic        Kind = "panic"
	PanicCompile Kind = "panic-compile"
	// Crash ends the process as a segmentation fault does, during a run;
	// CrashCompile during Compile.
	Crash        Kind = "crash"
	CrashCompile Kind = "crash-compile"
	// Hang blocks a run, and everything behind it, until the device is closed;
	// HangCompile blocks Compile.
	Hang        Kind = "hang"
	HangCompile Kind = "hang-compile"
	// Lost loses the device when a batch is submitted. It stays lost.
	Lost Kind = "lost"
	// Revive loses the device for one batch. After that it works again, and
	// so do its timelines.
	Revive Kind = "revive"
)

// Info describes a kind.
type Info struct {
	Kind Kind
	// What says what the device does wrong.
	What string
	// Group is the group of conformance cases that has to notice it.
	Group string
	// Deadly kinds take the process with them, or part of it for good: run
	// them in a process of their own.
	Deadly bool
}

var kinds = []Info{
	{Bias, "outputs are off by a thousandth, all in one direction", "ops", false},
	{Element, "one element of an output is wrong", "ops", false},
	{Tail, "the last row of an output is not computed", "ops", false},
	{Sign, "outputs are negated", "ops", false},
	{SwapRows, "two rows of an output are exchanged", "ops", false},
	{NaN, "denormal and large numbers give NaN", "ops", false},
	{Half, "outputs have the precision of f16 in the type of f32", "ops", false},
	{OffByTwo, "quantized outputs are off by two steps", "ops", false},
	{Jitter, "outputs differ in their last bit from run to run", "determinism", false},
	{NoOutput, "outputs are not written", "ops", false},
	{Overrun, "something is written behind an output", "memory", false},
	{WriteInput, "an input is changed", "memory", false},
	{StateShift, "a state is updated at the wrong position", "blocks", false},
	{StateDrop, "a state is not updated", "blocks", false},
	{StateTwice, "a state is updated twice, the second time one row further", "blocks", false},
	{CopyOneRow, "strided copies copy one row", "memory", false},
	{DirtyMemory, "new memory is not zeroed", "memory", false},
	{Overcommit, "allocations beyond the limits succeed", "memory", false},
	{AliasMemory, "two allocations share memory", "memory", false},
	{SharedScratch, "queues that run at the same time mix up their results", "sync", false},
	{EarlySignal, "timelines are signalled before the work is done", "sync", false},
	{NeverSignal, "timelines are never signalled", "sync", false},
	{IgnoreWait, "batches do not wait for their wait points", "sync", false},
	{IgnoreCancel, "waits do not end with their contexts", "sync", false},
	{SwallowError, "failed batches are signalled as done", "sync", false},
	{RefuseSubmit, "batches are refused for no reason", "sync", false},
	{Abandon, "what waits when a queue is closed neither ends nor fails", "lifecycle", false},
	{Slow, "runs take ten times as long", "sync", false},
	{WrongError, "errors wrap none of the contract's", "errors", false},
	{AcceptInvalid, "malformed graphs are compiled", "errors", false},
	{RefuseCompile, "what is supported is not compiled", "ops", false},
	{Overclaim, "an operator is claimed and not supported", "ops", false},
	{CacheAnything, "damaged and foreign blobs are loaded", "cache", false},
	{CacheWrong, "blobs are restored to something else", "cache", false},
	{Leak, "something is left behind by Close", "lifecycle", true},
	{UseAfterClose, "what was closed goes on working", "lifecycle", true},
	{Panic, "Submit panics", "isolation", false},
	{PanicCompile, "Compile panics", "isolation", false},
	{Crash, "a run ends the process", "isolation", true},
	{CrashCompile, "Compile ends the process", "isolation", true},
	{Hang, "a run never ends", "isolation", true},
	{HangCompile, "Compile never ends", "isolation", true},
	{Lost, "the device is lost", "isolation", false},
	{Revive, "a lost device works again", "isolation", false},
}

// Kinds describes every kind, in the order of the constants.
func Kinds() []Info { return slices.Clone(kinds) }

func (k Kind) valid() bool {
	return slices.ContainsFunc(kinds, func(i Info) bool { return i.Kind == k })
}
