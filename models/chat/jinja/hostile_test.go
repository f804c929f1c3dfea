package jinja

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
)

// vars are what the hostile templates are rendered with.
func vars() Object {
	return Object{
		{"messages", []any{Object{{"role", "user"}, {"content", "Hi"}}}},
		{"add_generation_prompt", true},
	}
}

// bounded renders a template that must end within a moment and without taking
// much memory, and returns how it ended.
func bounded(t *testing.T, source string, limits Limits) (string, error) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	var out string
	tmpl, err := Parse(source, limits)
	if err == nil {
		out, err = tmpl.Render(context.Background(), vars(), Options{})
	}
	assert.Less(t, time.Since(began), 20*time.Second)
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(6<<30), "bytes allocated in all")
	assert.Less(t, after.Sys, uint64(1<<30), "bytes held at once")
	if err != nil {
		var e *Error
		require.ErrorAs(t, err, &e)
		assert.Less(t, len(err.Error()), 1000)
	}
	return out, err
}

func TestHostile(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shared.Golden(t, "chat_templates"), "hostile_*.jinja"))
	require.NoError(t, err)
	require.Len(t, files, 25)
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".jinja")
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(path)
			require.NoError(t, err)
			out, err := bounded(t, string(source), Limits{})
			if err == nil && (name == "hostile_deep_parentheses" || name == "hostile_deep_blocks") {
				assert.Equal(t, "1", strings.TrimSpace(out))
				return
			}
			require.Error(t, err)
			if name == "hostile_raise_exception" {
				require.ErrorIs(t, err, ErrRaised)
				assert.Contains(t, err.Error(), "no thanks: 1")
			}
		})
	}
}

// More ways to take time, memory or stack. Each must run into a limit.
func TestLimits(t *testing.T) {
	deep := func(open, x, end string) string {
		return strings.Repeat(open, 100000) + x + strings.Repeat(end, 100000)
	}
	double := "{% set ns = namespace(s=START) %}{% for i in range(60) %}{% set ns.s = EXPR %}{% endfor %}{{ ns.s }}"
	grow := func(start, expr string) string {
		return strings.NewReplacer("START", start, "EXPR", expr).Replace(double)
	}
	tests := map[string]string{
		"parentheses":          "{{ " + deep("(", "1", ")") + " }}",
		"lists":                "{{ " + deep("[", "1", "]") + " }}",
		"dicts":                "{{ " + deep("{1:", "1", "}") + " }}",
		"not":                  "{{ " + deep("not ", "1", "") + " }}",
		"minus":                "{{ " + deep("-", "1", "") + " }}",
		"inline if":            "{{ " + deep("1 if 1 else ", "1", "") + " }}",
		"sum":                  "{{ " + deep("1+", "1", "") + " }}",
		"attributes":           "{{ messages" + deep(".a", "", "") + " }}",
		"subscripts":           "{{ messages" + deep("[0]", "", "") + " }}",
		"calls":                "{{ messages" + deep("()", "", "") + " }}",
		"filters":              "{{ messages" + deep("|e", "", "") + " }}",
		"tests":                "{{ 1" + deep(" is defined", "", "") + " }}",
		"powers":               "{{ 1" + deep("**1", "", "") + " }}",
		"for":                  deep("{% for a in [1] %}", "x", "{% endfor %}"),
		"macro":                deep("{% macro m() %}", "x", "{% endmacro %}"),
		"targets":              "{% for " + deep("(", "a", ",)") + " in [] %}{% endfor %}",
		"elif":                 "{% if 0 %}" + deep("{% elif 0 %}", "", "") + "{% endif %}{% for a in range(100000) %}{% for a in range(100000) %}{% endfor %}{% endfor %}",
		"recursion":            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
		"recursion by caller":  "{% macro f() %}{% call f() %}{% endcall %}{{ caller() }}{% endmacro %}{% call f() %}{% endcall %}",
		"recursive loop":       "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
		"recursion by default": "{% macro f(x=f()) %}{% endmacro %}{{ f() }}",
		"output of recursion":  "{% macro f() %}{{ 'x' * 1000000 }}{{ f() }}{% endmacro %}{{ f() }}",
		"nested value":         "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
		"nested compare":       "{% set ns = namespace(l=[], m=[]) %}{% for i in range(5000) %}{% set ns.l = [ns.l] %}{% set ns.m = [ns.m] %}{% endfor %}{{ ns.l == ns.m }}",
		"nested order":         "{% set ns = namespace(l=[], m=[1]) %}{% for i in range(5000) %}{% set ns.l = [ns.l] %}{% set ns.m = [ns.m] %}{% endfor %}{{ ns.l < ns.m }}",
		"nested key":           "{% set ns = namespace(l=()) %}{% for i in range(5000) %}{% set ns.l = (ns.l,) %}{% endfor %}{{ {ns.l: 1} }}",
		"nested json":          "{% set ns = namespace(l=[]) %}{% for i in range(5000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l | tojson }}",
		"itself":               "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}",
		"shared parts printed": grow("[1]", "[ns.s, ns.s]"),
		"shared parts as json": grow("[1]", "[ns.s, ns.s]") + "{{ ns.s | tojson }}",
		"shared parts hashed":  strings.ReplaceAll(grow("(1,)", "(ns.s, ns.s)"), "{{ ns.s }}", "{{ {ns.s: 1} }}"),
		"shared parts equal":   "{% set a = namespace(s=[1]) %}{% set b = namespace(s=[1]) %}{% for i in range(60) %}{% set a.s = [a.s, a.s] %}{% set b.s = [b.s, b.s] %}{% endfor %}{{ a.s == b.s }}",
		"strings added":        grow("'x'", "ns.s + ns.s"),
		"strings joined":       grow("'x'", "[ns.s, ns.s] | join"),
		"strings replaced":     grow("'xx'", "ns.s | replace('x', 'xx')"),
		"strings in between":   grow("'xx'", "ns.s.replace('', 'xx')"),
		"strings formatted":    grow("'x'", "'%s%s' % (ns.s, ns.s)"),
		"strings by format":    grow("'x'", "'{0}{0}'.format(ns.s)"),
		"strings captured":     "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}{% endfor %}",
		"lists added":          grow("[1]", "ns.s + ns.s"),
		"tuples added":         grow("(1,)", "ns.s + ns.s"),
		"escapes":              grow("'&'", "(ns.s ~ ns.s) | forceescape"),
		"json of json":         grow("'\"'", "ns.s | tojson"),
		"urlencode":            grow("'%'", "(ns.s ~ ns.s) | urlencode"),
		"indent":               grow("'a\\nb'", "(ns.s ~ '\\n' ~ ns.s) | indent(1000, blank=true)"),
		"list multiply":        "{{ [1] * 1000000000000 }}",
		"multiply left":        "{{ 100000000000 * 'x' }}",
		"list of one":          "{{ [[]] * 100000000 }}",
		"ljust":                "{{ 'x'.ljust(100000000000) }}",
		"zfill":                "{{ 'x'.zfill(100000000000) }}",
		"center wide fill":     "{{ 'x'.center(100000000, '😀') }}",
		"expandtabs":           "{{ '\t'.expandtabs(100000000000) }}",
		"indent width":         "{{ 'a\nb' | indent(100000000000) }}",
		"json indent":          "{{ [1] | tojson(indent=100000000000) }}",
		"batch":                "{{ [1] | batch(100000000000, 1) | list }}",
		"slice":                "{{ [1] | slice(100000000000) | list }}",
		"format width":         "{{ '{:100000000000}'.format(1) }}",
		"format precision":     "{{ '%.100000000000f' % 1.5 }}",
		"format star":          "{{ '%*d' % (100000000000, 1) }}",
		"format digits":        "{{ '%.100000000000d' % 1 }}",
		"integers":             "{% set ns = namespace(i=3) %}{% for i in range(100000) %}{% set ns.i = ns.i * ns.i %}{% endfor %}",
		"negative power":       "{{ (-3) ** 100000000000 }}",
		"quadratic search":     "{% set l = range(100000) | list %}{% for a in l %}{{ '' if a in l }}{% endfor %}",
		"quadratic equality":   "{% set l = range(100000) | list %}{% set m = range(100000) | list %}{% for a in l %}{{ '' if l == m }}{% endfor %}",
		"quadratic length":     "{% set s = 'é' * 1000000 %}{% for a in range(100000) %}{% for a in range(100000) %}{{ '' if s | length == 1 }}{% endfor %}{% endfor %}",
		"quadratic index":      "{% set s = 'é' * 1000000 %}{% for a in range(100000) %}{% for a in range(100000) %}{{ '' if s[900000] == 'x' }}{% endfor %}{% endfor %}",
		"sorting":              "{% set l = range(100000) | list %}{% for a in l %}{% set m = l | sort %}{% endfor %}",
		"many values":          "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = ns.l + ['x' * 1000000] %}{% endfor %}",
		"many captures":        "{% macro f(n) %}{% if n %}{{ 'x' * 10000000 }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(90) | length }}",
		"long output":          "{% for i in range(100000) %}{{ 'x' * 10000 }}{% endfor %}",
		"time format":          "{{ strftime_now('%c' * 1000000) }}",
		"map recursion":        "{{ [1] | map('map', 'map') | list }}{% macro f() %}{{ [1] | map('string') | map('default', f()) | list }}{% endmacro %}{{ f() }}",
		"spread":               "{{ dict(**dict([[1, 2]])) }}{% for i in range(100000) %}{% for j in range(100000) %}{% set q = cycler(*range(1000)) %}{% endfor %}{% endfor %}",
		"split":                "{% set s = 'a ' * 5000000 %}{% for i in range(100) %}{% set q = s.split() %}{% endfor %}",
		"strip set":            "{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{% set q = s.strip('b' * 1000000 ~ 'a') %}{% endfor %}",
		"word wrap hyphens":    "{% set s = 'aa-' * 1000000 %}{% for i in range(100000) %}{{ s | wordwrap(9) | length }}{% endfor %}",
		"many lines":           "{% for i in range(100000) %}{{ ('\r' * 1000000).splitlines() | length }}{% endfor %}",
		"title words":          "{% for i in range(100000) %}{{ ('é ' * 100000) | title | length }}{% endfor %}",
		"many undefined":       "{% set l = range(100000) | list %}{% for i in l %}{% set q = l | map(attribute='q') | list %}{% endfor %}",
		"sums":                 "{% set l = range(100000) | list %}{% for i in l %}{% set q = l | sum %}{% endfor %}",
		"long name":            "{{ " + strings.Repeat("x", 1000000) + ".y }}",
		"comments stripped":    "{% set s = '<!---->' * 1000000 %}{{ s | striptags }}",
		"word wrap":            "{% set s = 'a-' * 1000000 %}{% for i in range(100000) %}{{ s | wordwrap(1) | length }}{% endfor %}",
		"large literal":        "{{ 1" + strings.Repeat("0", 100000) + " }}",
	}
	for name, source := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := bounded(t, source, Limits{Steps: 2_000_000, Value: 4 << 20, Memory: 32 << 20})
			require.Error(t, err)
		})
	}
}

func TestLimitsAreLimits(t *testing.T) {
	for _, tt := range []struct {
		want   string
		limits Limits
		source string
	}{
		{"has 20 bytes", Limits{Source: 19}, "{{ messages[0].xx }}"},
		{"nests deeper than 10", Limits{Depth: 10}, "{{ ((((((((((1)))))))))) }}"},
		{"recurses deeper than 50", Limits{Depth: 50}, "{% macro f() %}{{ f() }}{% endmacro %}\n{{ f() }}"},
		{"more than 1000 steps", Limits{Steps: 1000}, "{% for a in range(90000) %}{% endfor %}"},
		{"longer than 20ms", Limits{Time: 20 * time.Millisecond, Steps: 1 << 50}, "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"},
		{"output exceeds 10 bytes", Limits{Output: 10}, "12345678901"},
		{"a value of more than 1000 bytes", Limits{Value: 1000}, "{{ 'x' * 1001 }}"},
		{"more than 1000 bytes in all", Limits{Memory: 1000}, "{% for i in range(9) %}{{ 'x' * 200 }}{% endfor %}"},
	} {
		_, err := bounded(t, tt.source, tt.limits)
		require.ErrorIs(t, err, ErrLimit, tt.source)
		assert.ErrorContains(t, err, tt.want)
	}
	out, err := bounded(t, "1234567890", Limits{Output: 10})
	require.NoError(t, err)
	assert.Equal(t, "1234567890", out)
}

func TestCancellation(t *testing.T) {
	tmpl, err := Parse("{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}", Limits{Steps: 1 << 50, Time: time.Hour})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = tmpl.Render(ctx, nil, Options{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, time.Since(began), 5*time.Second)

	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = tmpl.Render(gone, nil, Options{})
	require.True(t, errors.Is(err, context.Canceled))
}

func TestBadVariables(t *testing.T) {
	tmpl, err := Parse("{{ x }}", Limits{})
	require.NoError(t, err)
	_, err = tmpl.Render(context.Background(), Object{{"x", make(chan int)}}, Options{})
	require.ErrorContains(t, err, "variable x")
	var deep any
	for range 100000 {
		deep = []any{deep}
	}
	_, err = tmpl.Render(context.Background(), Object{{"x", deep}}, Options{})
	require.ErrorIs(t, err, ErrLimit)
	_, err = DecodeJSON([]byte(strings.Repeat("[", 100000)))
	require.Error(t, err)
}
