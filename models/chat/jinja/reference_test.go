package jinja

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func clock() time.Time { return time.Date(2026, 1, 5, 6, 7, 8, 0, time.UTC) }

// Every template of testdata gives what jinja2 gives.
func TestReference(t *testing.T) {
	for _, name := range []string{"features.jsonl", "random.jsonl"} {
		file, err := os.Open(filepath.Join("testdata", name))
		require.NoError(t, err)
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		require.True(t, lines.Scan())
		var head struct{ Variables json.RawMessage }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &head))
		decoded, err := DecodeJSON(head.Variables)
		require.NoError(t, err)
		count := 0
		for lines.Scan() {
			var c struct {
				Template string
				Text     *string
				Error    bool
			}
			require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
			require.NotEqual(t, c.Text == nil, !c.Error, "line %d", count+2)
			count++
			var got string
			tmpl, err := Parse(c.Template, Limits{})
			if err == nil {
				got, err = tmpl.Render(context.Background(), decoded.(Object), Options{Now: clock})
			}
			if c.Error {
				assert.Error(t, err, "%s\nrenders to %q", c.Template, got)
			} else if assert.NoError(t, err, c.Template) {
				assert.Equal(t, *c.Text, got, c.Template)
			}
		}
		require.NoError(t, lines.Err())
		require.NoError(t, file.Close())
		assert.Greater(t, count, 150, name)
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	for _, tt := range []struct{ source, want string }{
		{"a\nb {{ 'x }}", "line 2: unexpected ': the string is not closed"},
		{"{# c\n #}\n{% if x %}\n", "line 3: unexpected end of template: missing {% elif %} or {% else %} or {% endif %}"},
		{"\n{% frob %}", "line 2: unknown tag 'frob'"},
		{"{% if 1 %}{% endfor %}", "line 1: unknown tag 'endfor'; the innermost open block needs 'elif' or 'else' or 'endif'"},
		{"\n\n{{ 1 | nope }}", "line 3: no filter named 'nope'"},
		{"{% if 1 %}\n{{ 1 | nope }}{% endif %}", "line 2: no filter named 'nope'"},
		{"{{ 1 is nope }}", "line 1: no test named 'nope'"},
		{"a\n{{ m.nothing.deeper }}", "line 2: 'dict object' has no attribute 'nothing'"},
		{"a\n{{ nofunc(1) }}", "line 2: 'nofunc' is undefined"},
		{"{% for a in\n5 %}{% endfor %}", "line 1: 'int' object is not iterable"},
		{"\n{{ raise_exception('roles must ' ~ 'alternate') }}", "line 2: roles must alternate"},
		{"\n{{ m.update(1) }}", "line 2: access to attribute 'update' of 'dict' object is unsafe"},
		{"{{ ''.__class__.__mro__ }}", "line 1: access to attribute '__class__' of 'str' object is unsafe"},
		{"{% include 'x' %}", "line 1: 'include' is not possible: a chat template has no other templates to load"},
		{"{% autoescape true %}{% endautoescape %}", "line 1: the tag 'autoescape' is not supported: chat templates produce plain text"},
		{"{{ 1 // 0 }}", "line 1: integer division or modulo by zero"},
		{"{{ range(100001) }}", "line 1: range too big: 100001 items, at most 100000 are allowed"},
		{"{{ ) }}", "line 1: unexpected ')'"},
		{"{{ (] }}", "line 1: unexpected ']', expected ')'"},
		{"{{ m.get() }}", "line 1: get() misses its argument 'key'"},
		{"{{ 'a'.upper(1) }}", "line 1: upper() takes at most 0 arguments (1 given)"},
		{"{{ strftime_now('%Q') }}", "line 1: strftime: the directive %Q is not known"},
	} {
		tmpl, err := Parse(tt.source, Limits{})
		if err == nil {
			_, err = tmpl.Render(context.Background(), Object{{"m", Object{}}}, Options{})
		}
		if assert.Error(t, err, tt.source) {
			assert.Equal(t, tt.want, err.Error(), tt.source)
		}
	}
}

func TestStrftime(t *testing.T) {
	afternoon := time.Date(2024, 12, 30, 15, 4, 5, 678901000, time.UTC)
	for format, want := range map[string]string{
		"%d %b %Y":             "30 Dec 2024",
		"%-d/%-m/%y %_H %^a":   "30/12/24 15 MON",
		"%I:%M:%S %p %l %P":    "03:04:05 PM  3 pm",
		"%j %U %W %V %G %g %u": "365 52 53 01 2025 25 1",
		"%A, %B %e|%f|%%|%s":   "Monday, December 30|678901|%|1735571045",
		"100 %T%z%Z":           "100 15:04:05",
		"%C%n%t%h%D%R%r%c%x%X": "20\n\tDec12/30/2415:0403:04:05 PMMon Dec 30 15:04:05 202412/30/2415:04:05",
	} {
		got, err := strftime(afternoon, format)
		require.NoError(t, err)
		assert.Equal(t, want, got, format)
	}
	for _, format := range []string{"%", "%-", "%Q"} {
		_, err := strftime(afternoon, format)
		require.Error(t, err, format)
	}
}

func TestDecodeJSON(t *testing.T) {
	v, err := DecodeJSON([]byte(`{"b":1,"a":[true,null,"x",1.50,{"z":{}}],"b":2}`))
	require.NoError(t, err)
	o := v.(Object)
	assert.Equal(t, Object{{"b", json.Number("2")}, {"a", []any{true, nil, "x", json.Number("1.50"), Object{{"z", Object{}}}}}}, o)
	again, err := json.Marshal(o)
	require.NoError(t, err)
	assert.Equal(t, `{"b":2,"a":[true,null,"x",1.50,{"z":{}}]}`, string(again))
	got, ok := o.Get("b")
	assert.True(t, ok)
	assert.Equal(t, json.Number("2"), got)
	for _, bad := range []string{"", "{", "[1,", "{} {}", `{"a"}`, "]", `{"a":1,}`, "nul"} {
		_, err := DecodeJSON([]byte(bad))
		assert.Error(t, err, bad)
	}
}

// Variables keep their order, their exact integers and their text.
func TestVariables(t *testing.T) {
	tmpl, err := Parse("{{ v | tojson }}", Limits{})
	require.NoError(t, err)
	for _, tt := range []struct {
		in   any
		want string
	}{
		{nil, "null"},
		{int32(-5), "-5"},
		{float32(0.5), "0.5"},
		{json.Number("12345678901234567890"), "12345678901234567890"},
		{json.Number("1e2"), "100.0"},
		{[]string{"a", "b"}, `["a", "b"]`},
		{map[string]any{"b": 1, "a": []any{2}}, `{"a": [2], "b": 1}`},
		{Object{{"b", 1}, {"a", Object{}}}, `{"b": 1, "a": {}}`},
		{"bad \xff byte", `"bad ` + "\uFFFD" + ` byte"`},
	} {
		got, err := tmpl.Render(context.Background(), Object{{"v", tt.in}}, Options{})
		require.NoError(t, err)
		assert.Equal(t, tt.want, got)
	}
}

// One template serves many goroutines.
func TestConcurrentRenderings(t *testing.T) {
	tmpl, err := Parse("{% macro f(x) %}<{{ x }}>{% endmacro %}{% for i in range(n) %}{{ f(i) }}{% endfor %}", Limits{})
	require.NoError(t, err)
	done := make(chan string)
	for range 8 {
		go func() {
			out, err := tmpl.Render(context.Background(), Object{{"n", 100}}, Options{})
			if err != nil {
				out = err.Error()
			}
			done <- out
		}()
	}
	want := <-done
	for range 7 {
		assert.Equal(t, want, <-done)
	}
	assert.Contains(t, want, "<99>")
}
