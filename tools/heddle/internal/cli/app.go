package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/tools/heddle/internal/tty"
)

// Env is what the command takes from its process.
type Env struct {
	// Registry holds the drivers.
	Registry       *hal.Registry
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Interrupts delivers what asks the command to end, such as Ctrl-C. May
	// be nil.
	Interrupts <-chan os.Signal
	// Kill ends the process at once, when a second interrupt shows that
	// ending cleanly takes too long. May be nil.
	Kill func(code int)
}

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Main runs the command and returns its exit status.
func Main(args []string, env Env) int {
	out := &stickyWriter{w: env.Stdout}
	a := &app{env: env, args: args, in: env.Stdin, out: tty.New(env.Stdout), err: tty.New(env.Stderr)}
	a.out.Writer = out
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil && out.err != nil {
		err = fmt.Errorf("cannot write to standard output: %w", out.err)
	}
	var usage *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage) || !a.started:
		// Whatever cobra itself finds fault with is wrong usage, too.
		a.complain(fmt.Sprintf("%s; see %q", message(err), cmd.CommandPath()+" --help"))
		return exitUsage
	case errors.Is(err, errSilent):
	case a.interrupted: // whatever the layers below made of it
		a.complain("interrupted")
	default:
		a.complain(message(err))
	}
	return exitFailed
}

// app is one run of the command.
type app struct {
	env         Env
	args        []string
	in          io.Reader
	out, err    *tty.Writer
	started     bool // arguments were right, and the work began
	interrupted bool
}

// complain writes the one line about what went wrong.
func (a *app) complain(text string) {
	fmt.Fprintf(a.err, "%s %s\n", a.err.Red("heddle:"), tty.OneLine(text))
}

// warn writes a line about what is not as asked, but does not stop the work.
func (a *app) warn(format string, args ...any) {
	a.complain("warning: " + fmt.Sprintf(format, args...))
}

// note writes a secondary line for a person who reads along.
func (a *app) note(format string, args ...any) {
	fmt.Fprintln(a.err, a.err.Dim(tty.OneLine(fmt.Sprintf(format, args...))))
}

// usageError is an error about how the command was called.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// errSilent fails a command that has said already what is wrong.
var errSilent = errors.New("failed")

// layers are the packages that errors start with: of use to programmers, not
// to who runs a command.
var layers = []string{"models", "ckpt", "safetensors", "gguf", "arch", "token", "img", "tiling", "check", "scheduler", "graph", "passes", "onnx", "chat", "jinja", "sample", "hal", "conformance"}

// message returns an error's text without the layers that it came through.
func message(err error) string {
	text := err.Error()
	for {
		before := text
		for _, l := range layers {
			text = strings.TrimPrefix(text, l+": ")
		}
		if text == before {
			return text
		}
	}
}

// action makes a cobra action of f, which gets a context that ends at the
// first interrupt.
func (a *app) action(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		ctx, cancel := context.WithCancel(cmd.Context())
		defer cancel()
		over := make(chan struct{})
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			a.watch(cancel, over)
		}()
		err := f(ctx, args)
		close(over)
		<-watched
		return err
	}
}

// watch cancels at the first interrupt and kills at the second.
func (a *app) watch(cancel context.CancelFunc, over <-chan struct{}) {
	select {
	case <-over:
		return
	case <-a.env.Interrupts:
		a.interrupted = true
		cancel()
	}
	select {
	case <-over:
	case <-a.env.Interrupts:
		if a.env.Kill != nil {
			a.env.Kill(exitFailed)
		}
	}
}

// stdin returns standard input as a reader that ends with ctx: reading a
// terminal does not.
func (a *app) stdin(ctx context.Context) io.Reader { return &cancelReader{ctx: ctx, r: a.in} }

type cancelReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelReader) Read(p []byte) (int, error) {
	type result struct {
		b   []byte
		err error
	}
	// The read that is given up goes on in its own memory.
	done := make(chan result, 1)
	go func() {
		b := make([]byte, len(p))
		n, err := c.r.Read(b)
		done <- result{b[:n], err}
	}()
	select {
	case r := <-done:
		return copy(p, r.b), r.err
	case <-c.ctx.Done():
		return 0, c.ctx.Err()
	}
}

// json writes v: on one line, or indented for a person.
func (a *app) json(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	if a.out.Terminal {
		e.SetIndent("", "  ")
	}
	return e.Encode(v)
}

// jsonLine writes v on one line, whoever reads it.
func jsonLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// stickyWriter remembers the first error, so that it need not be looked at
// after every line.
type stickyWriter struct {
	w   io.Writer
	err error
}

func (s *stickyWriter) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}
