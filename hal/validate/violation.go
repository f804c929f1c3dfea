package validate

import (
	"fmt"
	"sync"

	"github.com/heddle-ml/heddle/hal/driver"
)

// Rule names what was broken. Rules are stable: tests and reports refer to
// them.
type Rule string

// Rules that a driver breaks.
const (
	// RuleProbe: Info, Probe or Open gave an impossible answer.
	RuleProbe Rule = "probe"
	// RuleCaps: the capabilities are malformed, changed, or claim an optional
	// interface that is not there.
	RuleCaps Rule = "caps"
	// RuleVerdict: Supports contradicts itself, the capabilities, or lacks
	// reasons.
	RuleVerdict Rule = "verdict"
	// RuleGraph: a graph was changed.
	RuleGraph Rule = "graph"
	// RuleBinding: an executable's bindings or symbols are not its graph's.
	RuleBinding Rule = "binding"
	// RuleMemory: size, alignment, visibility or initial content are wrong.
	RuleMemory Rule = "memory"
	// RuleBounds: something was written outside of an argument.
	RuleBounds Rule = "bounds"
	// RuleInput: a run changed an input.
	RuleInput Rule = "input"
	// RuleOutput: a run left part of an output unwritten.
	RuleOutput Rule = "output"
	// RuleTimeline: a timeline went back, recovered from failure, or returned
	// from Wait without a reason.
	RuleTimeline Rule = "timeline"
	// RuleStall: a batch was neither done nor failed in time, or a wait
	// outlived its context.
	RuleStall Rule = "stall"
	// RuleCache: a blob that was just saved is judged unusable, or is empty.
	RuleCache Rule = "cache"
	// RuleNothing: neither a result nor an error was returned.
	RuleNothing Rule = "nothing"
	// RulePanic: the driver panicked.
	RulePanic Rule = "panic"
)

// Rules that a caller breaks.
const (
	// RuleArgument: an argument is missing, out of range or another device's.
	RuleArgument Rule = "argument"
	// RuleClosed: an object was used after Close, closed twice, or closed
	// while a batch that uses it was pending.
	RuleClosed Rule = "closed"
	// RuleLeak: an object was left open when its device was closed.
	RuleLeak Rule = "leak"
)

// Caller reports whether it is the caller's duty, not the driver's.
func (r Rule) Caller() bool { return r == RuleArgument || r == RuleClosed || r == RuleLeak }

// Violation is one breach of the contract.
type Violation struct {
	Rule   Rule
	Detail string

	cause error
}

func (v *Violation) Error() string {
	who := "driver"
	if v.Rule.Caller() {
		who = "caller"
	}
	return fmt.Sprintf("validate: the %s broke rule %q: %s", who, v.Rule, v.Detail)
}

// Unwrap returns driver.ErrClosed, ErrDeviceLost or ErrTimeout for uses after
// Close, panics and stalls, so that callers see what they would see without
// validation; else nil.
func (v *Violation) Unwrap() error { return v.cause }

// maxKept bounds the violations a device remembers; the rest is counted.
const maxKept = 100

// record collects violations. Safe for concurrent use.
type record struct {
	report func(*Violation)

	mu      sync.Mutex
	kept    []error
	dropped int
}

func (r *record) add(rule Rule, format string, args ...any) *Violation {
	v := &Violation{Rule: rule, Detail: fmt.Sprintf(format, args...)}
	switch rule {
	case RuleClosed:
		v.cause = driver.ErrClosed
	case RulePanic:
		v.cause = driver.ErrDeviceLost
	case RuleStall:
		v.cause = driver.ErrTimeout
	}
	r.mu.Lock()
	if len(r.kept) < maxKept {
		r.kept = append(r.kept, v)
	} else {
		r.dropped++
	}
	r.mu.Unlock()
	if r.report != nil {
		r.report(v)
	}
	return v
}

// all returns what was collected.
func (r *record) all() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := append([]error(nil), r.kept...)
	if r.dropped > 0 {
		out = append(out, fmt.Errorf("validate: and %d more violations", r.dropped))
	}
	return out
}

// call calls into the driver and sees that it returns something, or an error.
func call[T any](r *record, what string, f func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = r.add(RulePanic, "%s: %v", what, p)
		}
	}()
	out, err = f()
	if err == nil && any(out) == nil {
		err = r.add(RuleNothing, "%s returned neither a result nor an error", what)
	}
	return out, err
}

// callErr calls a method of the driver that returns only an error.
func callErr(r *record, what string, f func() error) error {
	_, err := call(r, what, func() (struct{}, error) { return struct{}{}, f() })
	return err
}
