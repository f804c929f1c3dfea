package tty

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Writer is an output that knows whether it is a terminal. One goroutine at a
// time.
type Writer struct {
	io.Writer
	// Terminal tells that a person reads along.
	Terminal bool
	color    bool
	fd       int
}

// New wraps w. Colour is used on terminals only, and not where the
// environment says NO_COLOR or TERM=dumb.
func New(w io.Writer) *Writer {
	out := &Writer{Writer: w, fd: -1}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		out.Terminal, out.fd = true, int(f.Fd())
		out.color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return out
}

// Width returns the columns of the terminal; 0 when it is none.
func (w *Writer) Width() int {
	if !w.Terminal {
		return 0
	}
	n, _, err := term.GetSize(w.fd)
	if err != nil {
		return 0
	}
	return n
}

// IsTerminal reports whether an input is a terminal.
func IsTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (w *Writer) paint(code, s string) string {
	if !w.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Bold, Dim, Red and Green return s in that style, where there is colour.
func (w *Writer) Bold(s string) string { return w.paint("1", s) }

// Dim is for what is secondary.
func (w *Writer) Dim(s string) string { return w.paint("2", s) }

// Red is for what failed.
func (w *Writer) Red(s string) string { return w.paint("31", s) }

// Green is for what passed.
func (w *Writer) Green(s string) string { return w.paint("32", s) }
