package tty

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress shows how far a piece of work is: on a terminal, and only once the
// work has taken a second. A nil Progress shows nothing. One goroutine.
type Progress struct {
	w     *Writer
	what  string
	total int
	begun time.Time
	bar   *progressbar.ProgressBar
}

// patience is how long work may take before it is worth a bar.
const patience = time.Second

// NewProgress begins a piece of work of total steps.
func NewProgress(w *Writer, what string, total int) *Progress {
	if !w.Terminal {
		return nil
	}
	return &Progress{w: w, what: what, total: total, begun: time.Now()}
}

// Set says that n steps are done, with a note on how it goes.
func (p *Progress) Set(n int, note string) {
	if p == nil {
		return
	}
	if p.bar == nil {
		if time.Since(p.begun) < patience {
			return
		}
		p.bar = progressbar.NewOptions(p.total,
			progressbar.OptionSetWriter(p.w),
			progressbar.OptionSetWidth(24),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "━", SaucerPadding: " ", BarStart: "", BarEnd: ""}),
		)
	}
	d := p.what
	if note != "" {
		d += ", " + note
	}
	p.bar.Describe(d)
	_ = p.bar.Set(n) // a bar that cannot be drawn is no reason to stop
}

// Done takes the bar away.
func (p *Progress) Done() {
	if p != nil && p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}
