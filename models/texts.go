package models

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/heddle-ml/heddle/models/chat"
	"github.com/heddle-ml/heddle/models/sample"
)

// params returns the sampling that a generation config asks for: greedy
// unless it says do_sample.
func (g Generation) params() sample.Params {
	p := sample.Params{RepetitionPenalty: g.RepetitionPenalty}
	if g.Sample {
		p.Temperature, p.TopK, p.TopP, p.MinP = g.Temperature, g.TopK, g.TopP, g.MinP
	}
	return p
}

// crossEntropy is minus the log of the probability that logits give to a
// token, in float64.
func crossEntropy(logits []float32, id int) float64 {
	top := math.Inf(-1)
	for _, l := range logits {
		top = math.Max(top, float64(l))
	}
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - top)
	}
	return math.Log(sum) + top - float64(logits[id])
}

// readTemplate reads the chat template, if there is one, and finds out how it
// takes text and pictures: templates differ, and a text given in a form that
// one does not know is lost without an error.
func (m *Model) readTemplate() error {
	t, err := chat.OpenFS(m.files.Name(), m.files.FS(), chat.Limits{})
	if errors.Is(err, chat.ErrNoTemplate) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("models: %w", err)
	}
	m.template = t
	const probe = "heddle probes the template"
	render := func(msgs ...chat.Message) (string, error) {
		return t.Render(context.Background(), chat.Vars{Messages: msgs, AddGenerationPrompt: true})
	}
	shows := func(want string, msgs ...chat.Message) bool {
		out, err := render(msgs...)
		return err == nil && strings.Contains(out, probe) && strings.Contains(out, want)
	}
	m.textInParts = !shows("", chat.Message{Role: "user", Text: probe})
	if m.images != nil {
		msg := chat.Message{Role: "user", Parts: []chat.Part{chat.ImagePart(), chat.TextPart(probe)}}
		m.markInText = !shows(m.images.Marker, msg)
	}
	out, err := render(m.message("system", probe, 0), m.message("user", "?", 0))
	m.dropsSystem = err == nil && !strings.Contains(out, probe) // an error says more when it is met
	return nil
}

// message makes a message in the form that the template takes.
func (m *Model) message(role, text string, images int) chat.Message {
	if images > 0 && m.markInText {
		text = strings.Repeat(m.images.Marker+"\n", images) + text
		images = 0
	}
	if images == 0 && !m.textInParts {
		return chat.Message{Role: role, Text: text}
	}
	parts := make([]chat.Part, 0, images+1)
	for range images {
		parts = append(parts, chat.ImagePart())
	}
	return chat.Message{Role: role, Parts: append(parts, chat.TextPart(text))}
}

// render writes a conversation as the model was trained to read it. A model
// without a template gets the texts as they are, a line each.
func (m *Model) render(ctx context.Context, messages []chat.Message, begin bool) (string, error) {
	if m.template != nil {
		s, err := m.template.Render(ctx, chat.Vars{Messages: messages, AddGenerationPrompt: begin})
		if err != nil {
			return "", fmt.Errorf("models: %w", err)
		}
		return s, nil
	}
	var b strings.Builder
	for i, x := range messages {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(x.Text)
	}
	return b.String(), nil
}
