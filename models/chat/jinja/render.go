package jinja

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"
)

// Template is a parsed template. It is immutable: any number of goroutines may
// render it at once.
type Template struct {
	body   []stmt
	names  frameNames
	limits Limits
}

// Parse reads a template. Its errors are of type [*Error] and carry a line.
func Parse(source string, limits Limits) (t *Template, err error) {
	limits = limits.withDefaults()
	if len(source) > limits.Source {
		return nil, &Error{Err: ErrLimit, Message: fmt.Sprintf("the template has %d bytes, the limit is %d", len(source), limits.Source)}
	}
	defer func() {
		if e := recovered(recover()); e != nil {
			t, err = nil, e
		}
	}()
	p := &parser{toks: lex(source), limit: limits.Depth}
	t = &Template{body: p.body(), limits: limits}
	t.names = analyze(t.body)
	return t, nil
}

// Options is what a rendering may depend on besides its variables.
type Options struct {
	// Now is the clock of strftime_now; nil means time.Now.
	Now func() time.Time
}

// Render renders the template with the variables. Cancelling ctx ends it
// within a moment. Errors of the template or by its limits are of type
// [*Error].
func (t *Template) Render(ctx context.Context, vars Object, o Options) (out string, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &renderer{
		limits:   t.limits,
		ctx:      ctx,
		deadline: time.Now().Add(t.limits.Time),
		now:      o.Now,
		out:      &output{limit: t.limits.Output},
	}
	r.context = &scope{parent: globals}
	for _, f := range vars {
		v, err := fromGo(f.Value, maxJSONDepth)
		if err != nil {
			return "", &Error{Message: fmt.Sprintf("variable %s: %v", f.Name, err), Err: errors.Unwrap(err)}
		}
		r.context.set(f.Name, v)
	}
	defer func() {
		if e := recovered(recover()); e != nil {
			if e.Line == 0 {
				e.Line = r.line
			}
			out, err = "", e
		}
	}()
	r.check()
	r.root = newScope(r.context, t.names)
	r.exec(t.body, r.root)
	return string(r.out.buf), nil
}

const maxMessage = 800

// recovered turns what a parse or rendering panicked with into its error. A
// fault of the interpreter itself becomes an error too: a template must not be
// able to end the process through it.
func recovered(p any) *Error {
	switch e := p.(type) {
	case nil:
		return nil
	case *Error:
		// Names and values from the template may be long.
		if len(e.Message) > maxMessage {
			e.Message = strings.ToValidUTF8(e.Message[:maxMessage], "") + "..."
		}
		return e
	case runtime.Error:
		return &Error{Message: "internal fault of the template interpreter: " + e.Error(), internal: true}
	}
	panic(p)
}

// renderer is the state of one rendering. Its methods fail by panicking with
// *Error; [Template.Render] recovers.
type renderer struct {
	limits   Limits
	ctx      context.Context
	deadline time.Time
	now      func() time.Time

	steps, nextCheck int
	memory           int
	depth            int
	line             int

	context *scope // the variables passed in
	root    *scope // and what the template's top level sets
	out     *output
}

// output collects text: the result, or a part that is captured.
type output struct {
	buf      []byte
	limit    int
	captured bool
}

// errorf returns an error at the current line, to be panicked with.
func (r *renderer) errorf(format string, args ...any) *Error {
	return &Error{Line: r.line, Message: fmt.Sprintf(format, args...)}
}

func (r *renderer) limitf(format string, args ...any) *Error {
	e := r.errorf(format, args...)
	e.Err = ErrLimit
	return e
}

// work counts n steps.
func (r *renderer) work(n int) {
	r.steps += n
	if r.steps >= r.nextCheck {
		r.check()
	}
}

// check enforces the limits on steps and time.
func (r *renderer) check() {
	const interval = 2048
	if r.steps > r.limits.Steps {
		panic(r.limitf("the template takes more than %d steps", r.limits.Steps))
	}
	if err := r.ctx.Err(); err != nil {
		e := r.errorf("rendering was stopped: %v", err)
		e.Err = err
		panic(e)
	}
	if time.Now().After(r.deadline) {
		panic(r.limitf("the template takes longer than %v", r.limits.Time))
	}
	r.nextCheck = r.steps + interval
}

// alloc counts a new value of n bytes. Where n may be far larger than what the
// template holds already, it is called before the value is made.
func (r *renderer) alloc(n int) {
	if n < 0 || n > r.limits.Value {
		panic(r.limitf("the template makes a value of more than %d bytes", r.limits.Value))
	}
	r.memory += n
	if r.memory > r.limits.Memory {
		panic(r.limitf("the template's values take more than %d bytes in all", r.limits.Memory))
	}
	r.work(1 + n/256)
}

// product returns a*b for alloc, saturating.
func product(a, b int) int {
	if a > 0 && b > math.MaxInt/a {
		return math.MaxInt
	}
	return a * b
}

// valueSize is the bytes that one element of a collection takes.
const valueSize = 16

// str counts a new string and returns it.
func (r *renderer) str(s string) string {
	r.alloc(len(s))
	return s
}

// list counts a new list and returns it.
func (r *renderer) list(items []value) *list {
	r.alloc(valueSize * len(items))
	return &list{items}
}

// enter counts a level of nesting; the caller leaves it again. Panics need not:
// they end the rendering.
func (r *renderer) enter() {
	if r.depth++; r.depth > r.limits.Depth {
		panic(r.limitf("the template recurses deeper than %d levels", r.limits.Depth))
	}
}

func (r *renderer) leave() { r.depth-- }

// emit appends to the current output.
func (r *renderer) emit(s string) {
	o := r.out
	if len(s) > o.limit-len(o.buf) {
		panic(r.limitf("the template's output exceeds %d bytes", o.limit))
	}
	if o.captured {
		r.alloc(len(s))
	} else {
		r.work(len(s) / 256)
	}
	o.buf = append(o.buf, s...)
}

// capture runs f and returns what it emits.
func (r *renderer) capture(f func()) string {
	outer := r.out
	r.out = &output{limit: r.limits.Value, captured: true}
	f()
	s := string(r.out.buf)
	r.out = outer
	return r.str(s)
}
