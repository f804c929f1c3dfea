package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/tools/heddle/internal/tty"
)

type chatFlags struct {
	model  modelFlag
	place  placeFlags
	answer answerFlags
	images []string
}

const chatHelp = `/image FILE  show a picture with the next question
/reset       forget the conversation
/help        this list
/quit        end; so do Ctrl-D, and Ctrl-C while no answer is being written
Ctrl-C stops an answer.`

func (a *app) chatCommand() *cobra.Command {
	var f chatFlags
	cmd := &cobra.Command{
		Use:   "chat",
		Short: "Hold a conversation, also about pictures",
		Long: `Reads questions line by line and answers each in the light of those before. Lines
that begin with a slash are commands:

` + indent(chatHelp) + `

Standard input may be a file or a pipe: then answers are all that is written to
standard output, and the exit status is 1 if any line failed.`,
		Example: `  heddle chat
  heddle chat --model path/to/model --image photo.jpg --system "Answer in one sentence."
  printf '/image shapes.png\nDescribe the picture.\n' | heddle chat`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.started = true // and interrupts are chat's own business
			return a.chat(cmd.Context(), &f)
		},
	}
	fl := cmd.Flags()
	f.model.add(cmd, modelHelp)
	fl.StringArrayVar(&f.images, "image", nil, "picture `file` to show with the first question; may be given several times")
	f.answer.add(cmd)
	f.place.add(cmd, a)
	f.place.addOpen(cmd)
	_ = cmd.MarkFlagFilename("image", "jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff")
	_ = cmd.MarkFlagFilename("plan", "json")
	return cmd
}

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

// conversation is a chat under way.
type conversation struct {
	a      *app
	f      *chatFlags
	m      *models.Model
	s      *models.Session
	turns  int
	shown  []*models.Picture // that wait for the next question
	failed bool
	quit   bool
}

func (a *app) chat(ctx context.Context, f *chatFlags) (err error) {
	if err := f.answer.check(); err != nil {
		return err
	}
	o, err := f.place.options(a)
	if err != nil {
		return err
	}
	c := &conversation{a: a, f: f}
	err = c.interruptible(ctx, func(ctx context.Context) error {
		if c.m, err = f.model.open(ctx, o); err != nil {
			return err
		}
		c.s, err = c.m.NewSession(ctx)
		return err
	})
	if c.m != nil {
		defer closing(c.m, &err)
	}
	if c.s != nil {
		defer closing(c.s, &err)
	}
	if err != nil {
		a.interrupted = errors.Is(err, context.Canceled)
		return err
	}
	a.warnFallbacks(c.m)
	person := tty.IsTerminal(a.in)
	if person {
		a.note("%s, %s, a context of %s tokens; /help lists commands", f.model.name(), places(c.m.Plan()), tty.Count(int64(c.m.Context())))
	}
	for _, name := range f.images {
		if err := c.interruptible(ctx, func(ctx context.Context) error { return c.image(ctx, name) }); err != nil {
			return err
		}
	}
	lines := make(chan line)
	over := make(chan struct{})
	defer close(over)
	go readLines(a.in, lines, over)
	for !c.quit {
		if person {
			fmt.Fprint(a.err, a.err.Bold("> "))
		}
		var l line
		var more bool
		select {
		case l, more = <-lines:
		case <-a.env.Interrupts:
		}
		if !more {
			if person {
				fmt.Fprintln(a.err)
			}
			break
		}
		if l.err != nil {
			return fmt.Errorf("standard input: %w", l.err)
		}
		err := c.interruptible(ctx, func(ctx context.Context) error { return c.line(ctx, l.text) })
		switch {
		case errors.Is(err, context.Canceled):
			a.note("stopped")
		case err != nil:
			c.failed = true
			a.complain(message(err))
		}
	}
	if c.failed && !person {
		return errSilent
	}
	return nil
}

// line is a line of input, or why there are no more.
type line struct {
	text string
	err  error
}

// maxChatLine bounds a line of input.
const maxChatLine = 4 << 20

func readLines(r io.Reader, to chan<- line, over <-chan struct{}) {
	defer close(to)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxChatLine)
	for lines.Scan() {
		select {
		case to <- line{text: lines.Text()}:
		case <-over:
			return
		}
	}
	if err := lines.Err(); err != nil {
		select {
		case to <- line{err: err}:
		case <-over:
		}
	}
}

// interruptible runs f until it is done or an interrupt comes; its error is
// then context.Canceled. A second
// interrupt, or a request to terminate, ends the conversation, too.
func (c *conversation) interruptible(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type request struct{ stop, quit bool }
	done, asked := make(chan struct{}), make(chan request, 1)
	go func() {
		var r request
		for {
			select {
			case <-done:
				asked <- r
				return
			case sig := <-c.a.env.Interrupts:
				r = request{true, r.quit || r.stop || sig == syscall.SIGTERM}
				cancel()
			}
		}
	}()
	err := f(ctx)
	close(done)
	r := <-asked
	c.quit = c.quit || r.quit
	if r.stop && err != nil {
		return context.Canceled // whatever the layers below made of it
	}
	return err
}

// line obeys a command or answers a question.
func (c *conversation) line(ctx context.Context, text string) error {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	if !strings.HasPrefix(text, "/") {
		return c.ask(ctx, text)
	}
	name, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch name {
	case "/image":
		if rest == "" {
			return errors.New("/image: name a picture file")
		}
		return c.image(ctx, unquote(rest))
	case "/reset":
		c.s.Reset()
		c.turns, c.shown = 0, nil
	case "/help":
		fmt.Fprintln(c.a.err, chatHelp)
	case "/quit", "/exit":
		c.quit = true
	default:
		return fmt.Errorf("%s is no command: there are /image, /reset, /help and /quit", name)
	}
	return nil
}

// unquote takes the quotes off that terminals put around a dropped file.
func unquote(s string) string {
	if n := len(s); n > 1 && (s[0] == '\'' || s[0] == '"') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}

// image encodes a picture at once, while the user types the question.
func (c *conversation) image(ctx context.Context, name string) error {
	p, err := openPicture(name)
	if err != nil {
		return err
	}
	start := time.Now()
	e, err := c.m.Encode(ctx, p)
	if err != nil {
		return err
	}
	c.shown = append(c.shown, e)
	if c.a.err.Terminal {
		c.a.note("%s: %dx%d pixels, %s (%dx%d), %s in %s", name, p.W, p.H, tty.Plural(e.Grid.Tiles, "tile"), e.Grid.Cols, e.Grid.Rows,
			tty.Plural(e.Tokens(), "token"), tty.Duration(time.Since(start)))
	}
	return nil
}

func (c *conversation) ask(ctx context.Context, text string) error {
	out := &streamed{a: c.a}
	defer out.end()
	t := models.Turn{Text: text, Pictures: c.shown, Sampling: c.f.answer.sampling(c.m.Generation()), MaxTokens: c.f.answer.maxTokens, Stream: out.write}
	if c.turns == 0 {
		t.System = c.f.answer.system
	}
	t.Sampling.Seed += uint64(c.turns) // the same question twice may get two answers
	x, err := c.s.Ask(ctx, t)
	if err != nil {
		return err
	}
	out.end()
	c.turns++
	c.shown = nil
	if c.a.err.Terminal {
		x.Grids = nil // image has told about pictures
		c.a.note("%s", took(c.m, x, 0))
	}
	return nil
}
