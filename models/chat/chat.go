package chat

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/heddle-ml/heddle/models/chat/jinja"
)

// Limits bounds a template; zero fields take defaults that every template in
// use stays far below.
type Limits = jinja.Limits

// Errors that [Template.Render] wraps.
var (
	// ErrLimit: the template exceeded a limit.
	ErrLimit = jinja.ErrLimit
	// ErrRaised: the template refused the conversation, for instance for
	// roles that do not alternate. The message is the template's.
	ErrRaised = jinja.ErrRaised
)

// The names under which checkpoints with several templates keep them.
const (
	defaultName = "default"
	toolUseName = "tool_use"
)

// Template is a chat template, possibly with variants of other names, and the
// special tokens it came with. It is immutable: any number of goroutines may
// render it at once.
type Template struct {
	source string // where it came from, for errors
	named  map[string]*jinja.Template
	tokens Object
}

// Parse reads a template from its text. Errors name the line.
func Parse(source string, limits Limits) (*Template, error) {
	return newTemplate("chat template", map[string]string{defaultName: source}, nil, limits)
}

func newTemplate(source string, texts map[string]string, tokens Object, limits Limits) (*Template, error) {
	t := &Template{source: source, named: map[string]*jinja.Template{}, tokens: tokens}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		parsed, err := jinja.Parse(texts[name], limits)
		if err != nil {
			if len(texts) > 1 {
				return nil, fmt.Errorf("chat: %s: template %q: %w", source, name, err)
			}
			return nil, fmt.Errorf("chat: %s: %w", source, err)
		}
		t.named[name] = parsed
	}
	return t, nil
}

// Names returns the names of the template's variants, sorted. One that came
// without a name is "default".
func (t *Template) Names() []string { return slices.Sorted(maps.Keys(t.named)) }

// SpecialTokens returns the special tokens that were read with the template,
// such as bos_token.
func (t *Template) SpecialTokens() Object { return slices.Clone(t.tokens) }

// Vars is what a template renders.
type Vars struct {
	Messages []Message
	// AddGenerationPrompt ends the text where the assistant's answer begins.
	AddGenerationPrompt bool
	// Tools and Documents are descriptions for the model, usually Objects; nil
	// is Python's None.
	Tools, Documents []any
	// SpecialTokens are variables such as bos_token. They take precedence over
	// those that were read with the template.
	SpecialTokens map[string]string
	// Extra holds further variables, such as enable_thinking. They take
	// precedence over all others.
	Extra Object
	// Template is the name of the variant to use. If it is empty, that is
	// "tool_use" where there are tools and such a variant, else "default".
	Template string
	// Now is the clock of strftime_now; nil means time.Now.
	Now func() time.Time
}

// Render returns the prompt for a conversation. Errors name the template's
// source and line; they wrap [ErrLimit], [ErrRaised] or the context's error
// where that is the reason.
func (t *Template) Render(ctx context.Context, v Vars) (string, error) {
	name := v.Template
	if name == "" {
		name = defaultName
		if v.Tools != nil && t.named[toolUseName] != nil {
			name = toolUseName
		}
	}
	parsed := t.named[name]
	if parsed == nil {
		return "", fmt.Errorf("chat: %s: there is no template %q: choose one of %q", t.source, name, t.Names())
	}
	out, err := parsed.Render(ctx, t.variables(v), jinja.Options{Now: v.Now})
	if err != nil {
		return "", fmt.Errorf("chat: %s: %w", t.source, err)
	}
	return out, nil
}

// variables returns what the template sees, later fields taking precedence.
func (t *Template) variables(v Vars) Object {
	messages := make([]any, len(v.Messages))
	for i, m := range v.Messages {
		messages[i] = m.object()
	}
	list := func(items []any) any {
		if items == nil {
			return nil
		}
		return items
	}
	out := append(Object{}, t.tokens...)
	for _, name := range slices.Sorted(maps.Keys(v.SpecialTokens)) {
		out = append(out, Field{Name: name, Value: v.SpecialTokens[name]})
	}
	out = append(out,
		Field{Name: "messages", Value: messages},
		Field{Name: "tools", Value: list(v.Tools)},
		Field{Name: "documents", Value: list(v.Documents)},
		Field{Name: "add_generation_prompt", Value: v.AddGenerationPrompt},
	)
	return append(out, v.Extra...)
}
