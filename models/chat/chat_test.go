package chat

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/chat/jinja"
)

// Real templates give exactly the texts, and the refusals, that transformers
// gives.
func TestRealTemplates(t *testing.T) {
	dir := shared.Dir(t, "golden/chat_templates")
	data, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	require.NoError(t, err)
	decoded, err := jinja.DecodeJSON(data)
	require.NoError(t, err)
	file := decoded.(Object)
	get := func(o Object, name string) any {
		v, _ := o.Get(name)
		return v
	}

	templates := map[string]*Template{}
	variables := map[string]Object{}
	for _, v := range get(file, "templates").([]any) {
		entry := v.(Object)
		source, err := os.ReadFile(filepath.Join(dir, get(entry, "file").(string)))
		require.NoError(t, err)
		name := get(entry, "name").(string)
		templates[name], err = Parse(string(source), Limits{})
		require.NoError(t, err, name)
		variables[name] = get(entry, "variables").(Object)
	}
	conversations := map[string][]Message{}
	for _, f := range get(file, "conversations").(Object) {
		text, err := json.Marshal(f.Value)
		require.NoError(t, err)
		conversations[f.Name], err = ParseMessages(text)
		require.NoError(t, err, f.Name)
	}
	now, err := time.Parse(time.DateTime, get(file, "strftime_now").(string))
	require.NoError(t, err)

	cases := get(file, "cases").([]any)
	require.Len(t, cases, 392)
	for _, v := range cases {
		c := v.(Object)
		name, conversation := get(c, "template").(string), get(c, "conversation").(string)
		extra := append(Object{}, variables[name]...)
		if more, ok := get(c, "extra_variables").(Object); ok {
			extra = append(extra, more...)
		}
		vars := Vars{
			Messages:            conversations[conversation],
			AddGenerationPrompt: get(c, "add_generation_prompt").(bool),
			Extra:               extra,
			Now:                 func() time.Time { return now },
		}
		if conversation == "tools" {
			vars.Tools = get(file, "tools_for_conversation_tools").([]any)
		}
		got, err := templates[name].Render(context.Background(), vars)
		if want, ok := get(c, "expected").(string); ok {
			if assert.NoError(t, err, "%s, %s", name, conversation) {
				assert.Equal(t, want, got, "%s, %s", name, conversation)
			}
			continue
		}
		if !assert.Error(t, err, "%s, %s: got %q", name, conversation, got) {
			continue
		}
		// The text of the template's own refusals is the template's.
		if raised, ok := strings.CutPrefix(get(c, "error").(string), "TemplateError: "); ok {
			assert.ErrorIs(t, err, ErrRaised)
			assert.ErrorContains(t, err, raised)
		}
	}
}

func TestDemo(t *testing.T) {
	tmpl, err := Open(filepath.Join(shared.Root(), "models", "demo"), Limits{})
	require.NoError(t, err)
	assert.Equal(t, []string{"default"}, tmpl.Names())
	image, ok := tmpl.SpecialTokens().Get("image_token")
	assert.True(t, ok)
	assert.Equal(t, "<|image|>", image)
	_, ok = tmpl.SpecialTokens().Get("bos_token")
	assert.False(t, ok, "a null token is none")
	for _, tt := range []struct {
		messages []Message
		prompt   bool
		want     string
	}{
		{[]Message{{Role: "user", Text: "Hi"}}, true, "<|user|>Hi<|assistant|>"},
		{[]Message{{Role: "user", Text: "Hi"}}, false, "<|user|>Hi"},
		{
			[]Message{{Role: "user", Parts: []Part{TextPart("What "), ImagePart(), TextPart("is this?")}}, {Role: "assistant", Text: "A dot."}, {Role: "user", Text: "Sure?"}},
			true,
			"<|image|><|user|>What is this?<|assistant|>A dot.<|end|><|user|>Sure?<|assistant|>",
		},
	} {
		got, err := tmpl.Render(context.Background(), Vars{Messages: tt.messages, AddGenerationPrompt: tt.prompt})
		require.NoError(t, err)
		assert.Equal(t, tt.want, got)
	}
}

func render(t *testing.T, source string, v Vars) (string, error) {
	t.Helper()
	tmpl, err := Parse(source, Limits{})
	require.NoError(t, err)
	return tmpl.Render(context.Background(), v)
}

func TestMessagesAsTemplatesSeeThem(t *testing.T) {
	for _, tt := range []struct {
		message Message
		want    string
	}{
		{Message{Role: "user", Text: "Hi"}, `{"role": "user", "content": "Hi"}`},
		{Message{Role: "user"}, `{"role": "user", "content": ""}`},
		{Message{Role: "user", Parts: []Part{}}, `{"role": "user", "content": []}`},
		{
			Message{Role: "user", Parts: []Part{ImagePart(), TextPart(""), {Type: "image_url", Extra: Object{{Name: "image_url", Value: "x"}}}}},
			`{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": ""}, {"type": "image_url", "image_url": "x"}]}`,
		},
		{
			Message{Role: "assistant", ToolCalls: []any{Object{{Name: "id", Value: 1}}}, Extra: Object{{Name: "content", Value: nil}, {Name: "name", Value: "n"}}},
			`{"role": "assistant", "content": null, "tool_calls": [{"id": 1}], "name": "n"}`,
		},
	} {
		got, err := render(t, "{{ messages[0] | tojson }}", Vars{Messages: []Message{tt.message}})
		require.NoError(t, err)
		assert.Equal(t, tt.want, got)
	}
}

// What is read from JSON looks to a template as it did in the JSON.
func TestParseMessages(t *testing.T) {
	source := `[{"content": "Hi", "role": "user", "x": 1.0}, {"role": "assistant", "content": null, "tool_calls": [{"a": {"c": 1, "b": 2}}]}, ` +
		`{"role": "assistant", "tool_calls": []}, {"role": "user", "content": [{"text": "t", "type": "text"}, {"type": "image", "path": "p"}]}, ` +
		`{"role": "user", "content": []}, {"role": "tool", "name": "n", "content": ""}]`
	messages, err := ParseMessages([]byte(source))
	require.NoError(t, err)
	got, err := render(t, "{{ messages | tojson }}", Vars{Messages: messages})
	require.NoError(t, err)
	assert.Equal(t, source, got)
	assert.Equal(t, 1, messages[3].Images())

	written, err := json.Marshal(messages)
	require.NoError(t, err)
	var again []Message
	require.NoError(t, json.Unmarshal(written, &again))
	assert.Equal(t, messages, again)

	// Changing what was read is seen.
	messages[2].Text = "late"
	got, err = render(t, "{{ messages[2] | tojson }}", Vars{Messages: messages})
	require.NoError(t, err)
	assert.Equal(t, `{"role": "assistant", "tool_calls": [], "content": "late"}`, got)

	for bad, want := range map[string]string{
		`{}`:                               "array",
		`[1]`:                              "[0]: expected an object",
		`[{"content": "x"}]`:               "role is missing",
		`[{"role": 1}]`:                    "role must be a string",
		`[{"role": "a", "content": 1}]`:    "content must be",
		`[{"role": "a", "content": [1]}]`:  "content[0]: expected an object",
		`[{"role": "a", "content": [{}]}]`: "type is missing",
		`[{"role": "a"`:                    "malformed JSON",
	} {
		_, err := ParseMessages([]byte(bad))
		assert.ErrorContains(t, err, want, bad)
	}
}

func TestVariables(t *testing.T) {
	got, err := render(t, "{{ bos_token }}|{{ tools is none }}|{{ documents | tojson }}|{{ add_generation_prompt }}|{{ enable_thinking }}|{{ strftime_now('%Y') }}", Vars{
		SpecialTokens: map[string]string{"bos_token": "<s>"},
		Documents:     []any{Object{{Name: "title", Value: "T"}}},
		Extra:         Object{{Name: "enable_thinking", Value: false}},
		Now:           func() time.Time { return time.Unix(0, 0).UTC() },
	})
	require.NoError(t, err)
	assert.Equal(t, `<s>|True|[{"title": "T"}]|False|False|1970`, got)
}

func TestOpen(t *testing.T) {
	config := `{"bos_token": {"content": "<s>"}, "eos_token": "</s>", "unk_token": null, "add_bos_token": true, "additional_special_tokens": ["<a>", {"content": "<b>"}], "chat_template": "config {{ bos_token }}{{ eos_token }}{{ unk_token }}{{ additional_special_tokens | join }}"}`
	named := `{"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}, {"name": "rag", "template": "documents"}]}`
	tests := []struct {
		name  string
		files map[string]string
		vars  Vars
		want  string
		err   string
	}{
		{"config", map[string]string{"tokenizer_config.json": config}, Vars{}, "config <s></s><a><b>", ""},
		{"token given", map[string]string{"tokenizer_config.json": config}, Vars{SpecialTokens: map[string]string{"bos_token": "B"}}, "config B</s><a><b>", ""},
		{"processor before config", map[string]string{"tokenizer_config.json": config, "chat_template.json": `{"chat_template": "json {{ bos_token }}"}`}, Vars{}, "json <s>", ""},
		{"jinja before all", map[string]string{"tokenizer_config.json": config, "chat_template.json": `{`, "chat_template.jinja": "file {{ bos_token }}\n"}, Vars{}, "file <s>", ""},
		{"jinja alone", map[string]string{"chat_template.jinja": "file"}, Vars{}, "file", ""},
		{"variants", map[string]string{"chat_template.jinja": "file", "additional_chat_templates/tool_use.jinja": "with tools", "additional_chat_templates/README": "{%"}, Vars{Tools: []any{"t"}}, "with tools", ""},
		{"default of several", map[string]string{"tokenizer_config.json": named}, Vars{}, "plain", ""},
		{"tool use", map[string]string{"tokenizer_config.json": named}, Vars{Tools: []any{}}, "tools", ""},
		{"by name", map[string]string{"tokenizer_config.json": named}, Vars{Template: "rag"}, "documents", ""},
		{"unknown name", map[string]string{"tokenizer_config.json": named}, Vars{Template: "x"}, "", `no template "x": choose one of ["default" "rag" "tool_use"]`},
		{"no default", map[string]string{"tokenizer_config.json": `{"chat_template": [{"name": "a", "template": "x"}]}`}, Vars{}, "", `no template "default": choose one of ["a"]`},
		{"empty folder", nil, Vars{}, "", "holds neither"},
		{"no field", map[string]string{"tokenizer_config.json": `{}`}, Vars{}, "", "chat_template is missing"},
		{"wrong field", map[string]string{"tokenizer_config.json": `{"chat_template": 1}`}, Vars{}, "", "must be a text or a list"},
		{"empty list", map[string]string{"tokenizer_config.json": `{"chat_template": []}`}, Vars{}, "", "is empty"},
		{"wrong list", map[string]string{"tokenizer_config.json": `{"chat_template": [{"name": "a"}]}`}, Vars{}, "", "chat_template[0]"},
		{"cut config", map[string]string{"tokenizer_config.json": `{"chat_template`}, Vars{}, "", "tokenizer_config.json: malformed JSON"},
		{"config is a list", map[string]string{"tokenizer_config.json": `[]`}, Vars{}, "", "expected a JSON object"},
		{"bad template", map[string]string{"tokenizer_config.json": `{"chat_template": "\n{% if %}"}`}, Vars{}, "", "tokenizer_config.json: chat_template: line 2"},
		{"bad variant", map[string]string{"tokenizer_config.json": `{"chat_template": [{"name": "a", "template": "{{"}, {"name": "b", "template": ""}]}`}, Vars{}, "", `template "a": line 1`},
		{"refusal", map[string]string{"chat_template.jinja": "\n{{ raise_exception('no') }}"}, Vars{}, "", "chat_template.jinja: line 2: no"},
		{"folder in place of a file", map[string]string{"chat_template.jinja/x": ""}, Vars{}, "", "no regular file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.files {
				path := filepath.Join(dir, filepath.FromSlash(name))
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			}
			var got string
			tmpl, err := Open(dir, Limits{})
			if err == nil {
				got, err = tmpl.Render(context.Background(), tt.vars)
			}
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				if tt.name == "empty folder" || tt.name == "no field" || tt.name == "empty list" {
					require.ErrorIs(t, err, ErrNoTemplate)
				}
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestErrorsAreTyped(t *testing.T) {
	_, err := render(t, "{{ raise_exception('roles must alternate') }}", Vars{})
	require.ErrorIs(t, err, ErrRaised)
	tmpl, err := Parse("{% for a in range(9) %}{{ a }}{% endfor %}", Limits{Output: 5})
	require.NoError(t, err)
	_, err = tmpl.Render(context.Background(), Vars{})
	require.ErrorIs(t, err, ErrLimit)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = tmpl.Render(ctx, Vars{})
	require.ErrorIs(t, err, context.Canceled)
}

// FuzzConfig checks that no tokenizer_config.json or conversation breaks the
// reader.
func FuzzConfig(f *testing.F) {
	demo, err := os.ReadFile(filepath.Join(shared.Root(), "models", "demo", "tokenizer_config.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(demo, []byte(`[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "x"}]}]`))
	f.Add([]byte(`{"bos_token": {"content": "<s>"}, "chat_template": [{"name": "default", "template": "{{ messages }}{{ bos_token }}"}]}`), []byte(`[{"role": "a", "content": null, "tool_calls": [1]}]`))
	f.Add([]byte(`{"chat_template": ""}`), []byte(`[]`))
	limits := Limits{Source: 1 << 16, Depth: 100, Steps: 20_000, Time: time.Second, Output: 1 << 16, Value: 1 << 16, Memory: 1 << 20}
	f.Fuzz(func(t *testing.T, config, conversation []byte) {
		messages, err := ParseMessages(conversation)
		if err != nil {
			return
		}
		for i, m := range messages {
			if _, err := json.Marshal(m); err != nil {
				t.Fatalf("message %d cannot be written: %v", i, err)
			}
		}
		if tmpl, err := FromConfig("fuzz", config, limits); err == nil {
			_, _ = tmpl.Render(context.Background(), Vars{Messages: messages})
		}
	})
}
