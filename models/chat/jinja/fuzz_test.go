package jinja

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/heddle-ml/heddle/internal/shared"
)

// FuzzTemplate checks that any template, parsed and rendered under small
// limits, ends with a text or an *Error within them.
func FuzzTemplate(f *testing.F) {
	for _, name := range []string{"features.jsonl", "random.jsonl"} {
		file, err := os.Open(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for n := 0; lines.Scan(); n++ {
			var c struct{ Template string }
			if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
				f.Fatal(err)
			}
			if n%5 == 0 {
				f.Add(c.Template)
			}
		}
		_ = file.Close()
	}
	hostile, err := filepath.Glob(filepath.Join(shared.Golden(f, "chat_templates"), "*.jinja"))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range hostile {
		source, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(source))
	}
	limits := Limits{Source: 1 << 16, Depth: 100, Steps: 20_000, Time: time.Second, Output: 1 << 16, Value: 1 << 16, Memory: 1 << 20}
	messages := Object{
		{"messages", []any{
			Object{{"role", "user"}, {"content", "Hi ß😀\n"}},
			Object{{"role", "assistant"}, {"content", []any{Object{{"type", "text"}, {"text", "Yo"}}}}, {"n", 2}},
		}},
		{"x", 5}, {"f", 2.5}, {"s", "héllo wörld"}, {"L", []any{3, 1, 2}}, {"n", nil},
		{"d", Object{{"b", 1}, {"a", []any{1, 2.5, nil, true}}}},
	}
	f.Fuzz(func(t *testing.T, source string) {
		began := time.Now()
		tmpl, err := Parse(source, limits)
		if err == nil {
			var out string
			out, err = tmpl.Render(context.Background(), messages, Options{Now: clock})
			if len(out) > limits.Output {
				t.Fatalf("%d bytes of output", len(out))
			}
		}
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("error of type %T: %v", err, err)
		}
		if e != nil && e.internal {
			t.Fatalf("interpreter fault: %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Fatalf("took %v", took)
		}
	})
}
