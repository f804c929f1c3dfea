package chat

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/models/chat/jinja"
)

// Object is an ordered collection of named JSON-like values; see
// [jinja.Field] for what they may be. Templates print objects in this order.
type Object = jinja.Object

// Field is one entry of an [Object].
type Field = jinja.Field

// Message is one turn of a conversation.
type Message struct {
	// Role is "system", "user", "assistant", "tool", or what else the
	// template knows.
	Role string
	// Text is the content, unless Parts is not nil.
	Text string
	// Parts is the content as a list, for messages with pictures.
	Parts []Part
	// ToolCalls are the calls an assistant's message makes, as in the
	// checkpoint's documentation; usually Objects.
	ToolCalls []any
	// Extra holds further fields, such as name or tool_call_id. A field of
	// the name of one above takes its place: content may be nil so.
	Extra Object

	// order is the order of fields in the JSON the message was read from.
	order []string
}

// Part is a piece of a message's content.
type Part struct {
	// Type is "text", "image", or what else the template knows.
	Type string
	// Text is the text of a part of that type.
	Text string
	// Extra holds further fields, such as a picture's address.
	Extra Object

	order []string
}

// TextPart returns a part of text, ImagePart a picture's place.
func TextPart(text string) Part { return Part{Type: "text", Text: text} }

// ImagePart returns the place of a picture.
func ImagePart() Part { return Part{Type: "image"} }

// Images counts the parts that are pictures.
func (m Message) Images() int {
	n := 0
	for _, p := range m.Parts {
		if p.Type == "image" || p.Type == "image_url" {
			n++
		}
	}
	return n
}

// ParseMessages reads a JSON array of messages, each an object with a role and
// a content that is a string, a list of parts, null, or missing.
func ParseMessages(data []byte) ([]Message, error) {
	v, err := jinja.DecodeJSON(data)
	if err != nil {
		return nil, fmt.Errorf("chat: messages: %w", err)
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("chat: messages: expected an array of objects with role and content")
	}
	out := make([]Message, len(list))
	for i, v := range list {
		if out[i], err = parseMessage(v); err != nil {
			return nil, fmt.Errorf("chat: messages: [%d]: %w", i, err)
		}
	}
	return out, nil
}

// UnmarshalJSON reads one message as [ParseMessages] does.
func (m *Message) UnmarshalJSON(data []byte) error {
	v, err := jinja.DecodeJSON(data)
	if err == nil {
		*m, err = parseMessage(v)
	}
	if err != nil {
		return fmt.Errorf("chat: message: %w", err)
	}
	return nil
}

// MarshalJSON writes the message as templates see it.
func (m Message) MarshalJSON() ([]byte, error) { return m.object().MarshalJSON() }

func parseMessage(v any) (Message, error) {
	var m Message
	o, ok := v.(Object)
	if !ok {
		return m, fmt.Errorf("expected an object with role and content")
	}
	m.order = []string{}
	for _, f := range o {
		m.order = append(m.order, f.Name)
		switch f.Name {
		case "role":
			if m.Role, ok = f.Value.(string); !ok {
				return m, fmt.Errorf("role must be a string")
			}
			continue
		case "content":
			switch c := f.Value.(type) {
			case string:
				m.Text = c
				continue
			case []any:
				m.Parts = make([]Part, len(c))
				for i, v := range c {
					var err error
					if m.Parts[i], err = parsePart(v); err != nil {
						return m, fmt.Errorf("content[%d]: %w", i, err)
					}
				}
				continue
			case nil: // kept in Extra
			default:
				return m, fmt.Errorf("content must be a string, a list of parts or null")
			}
		case "tool_calls":
			if calls, ok := f.Value.([]any); ok && len(calls) > 0 {
				m.ToolCalls = calls
				continue
			}
		}
		m.Extra = append(m.Extra, f)
	}
	if m.Role == "" {
		return m, fmt.Errorf("role is missing")
	}
	return m, nil
}

func parsePart(v any) (Part, error) {
	var p Part
	o, ok := v.(Object)
	if !ok {
		return p, fmt.Errorf("expected an object with a type")
	}
	p.order = []string{}
	for _, f := range o {
		p.order = append(p.order, f.Name)
		s, isText := f.Value.(string)
		switch {
		case f.Name == "type" && isText:
			p.Type = s
		case f.Name == "text" && isText:
			p.Text = s
		default:
			p.Extra = append(p.Extra, f)
		}
	}
	if p.Type == "" {
		return p, fmt.Errorf("type is missing")
	}
	return p, nil
}

// object returns the message as templates see it.
func (m Message) object() Object {
	fields := Object{{Name: "role", Value: m.Role}}
	if m.order == nil || m.Text != "" || m.Parts != nil || slices.Contains(m.order, "content") {
		var content any = m.Text
		if m.Parts != nil {
			parts := make([]any, len(m.Parts))
			for i, p := range m.Parts {
				parts[i] = p.object()
			}
			content = parts
		}
		fields = append(fields, Field{Name: "content", Value: content})
	}
	if len(m.ToolCalls) > 0 {
		fields = append(fields, Field{Name: "tool_calls", Value: m.ToolCalls})
	}
	return arrange(fields, m.Extra, m.order)
}

func (p Part) object() Object {
	fields := Object{{Name: "type", Value: p.Type}}
	if p.Type == "text" || p.Text != "" {
		fields = append(fields, Field{Name: "text", Value: p.Text})
	}
	return arrange(fields, p.Extra, p.order)
}

// arrange adds extra to fields, replacing those of the same name, and puts
// what order names into that order, the rest behind.
func arrange(fields, extra Object, order []string) Object {
	for _, f := range extra {
		if i := slices.IndexFunc(fields, func(g Field) bool { return g.Name == f.Name }); i >= 0 {
			fields[i] = f
		} else {
			fields = append(fields, f)
		}
	}
	place := func(f Field) int {
		if i := slices.Index(order, f.Name); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(fields, func(a, b Field) int { return place(a) - place(b) })
	return fields
}
