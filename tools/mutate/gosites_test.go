package main

import (
	"go/format"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// changes lists what goSites would make of the body of a function.
func changes(t *testing.T, body string) []string {
	t.Helper()
	src := "package p\n\nfunc f() {\n\t" + body + "\n}\n"
	found, err := goSites([]byte(src))
	require.NoError(t, err)
	var out []string
	for _, s := range found {
		require.Equal(t, "f", s.Func)
		for _, m := range s.Mutations {
			changed := string(m.apply([]byte(src)))
			_, err := format.Source([]byte(changed))
			require.NoError(t, err, "%s: %s", m.Kind, changed)
			changed = strings.TrimSuffix(strings.TrimPrefix(changed, "package p\n\nfunc f() {\n\t"), "\n}\n")
			require.NotEqual(t, body, changed)
			out = append(out, m.Kind+": "+changed)
		}
	}
	return out
}

func TestGoSites(t *testing.T) {
	for _, c := range []struct {
		body string
		want []string
	}{
		{"g(7)", []string{"statement: ", "constant: g(8)", "constant: g(6)", "constant: g(0)"}},
		{"g(0)", []string{"statement: ", "constant: g(1)", "constant: g((-1))"}},
		{"g(0x10)", []string{"statement: ", "constant: g(0x11)", "constant: g(0xf)", "constant: g(0)"}},
		{"g(0.5)", []string{"statement: ", "constant: g((0.5 + 1))", "constant: g((-0.5))", "constant: g(0.0)"}},
		{"g(true)", []string{"statement: ", "constant: g(false)"}},
		{"x := a < b", []string{"comparison: x := a <= b", "comparison: x := a > b"}},
		{"x := a == b", []string{"comparison: x := a != b"}},
		{"x := a - b", []string{"arithmetic: x := a + b", "term: x := a"}},
		{"x := a * b", []string{"arithmetic: x := a / b", "term: x := a", "term: x := b"}},
		{"x := a && b", []string{"logic: x := a || b", "term: x := a", "term: x := b"}},
		{"x := a << b", []string{"arithmetic: x := a >> b"}},
		{"x := -a", []string{"sign: x := a"}},
		{"x := !a", []string{"logic: x := a"}},
		{"x := a[i]", []string{"index: x := a[i + 1]", "index: x := a[i - 1]"}},
		{"x := g[float32]", nil}, // of a generic function
		{"x := a[i:]", []string{"bound: x := a[(i) + 1:]", "bound: x := a[(i) - 1:]"}},
		{"x := a[:i]", []string{"bound: x := a[:(i) - 1]"}},
		{"x := min(a, b)", []string{"min-max: x := max(a, b)"}},
		{"x := math.Floor(a)", []string{"min-max: x := math.Ceil(a)"}},
		{"x := g(a, b, b)", []string{"arguments: x := g(b, a, b)"}},
		{"x = a", []string{"statement: _ = a"}},
		{"x, y = a, b", []string{"statement: _, _ = a, b"}},
		{"_ = a", nil},
		{"x += a", []string{"arithmetic: x -= a", "statement: _ = a"}},
		{"x++", []string{"arithmetic: x--"}},
		{"if a {\n\t}", []string{"condition: if !(a) {\n\t}"}},
		{"for range a {\n\t\tx++\n\t}", []string{"loop: for range a {\n\t\tx++; break\n\t}", "bound: for range (a) - 1 {\n\t\tx++\n\t}", "arithmetic: for range a {\n\t\tx--\n\t}"}},
		{"for {\n\t\tbreak\n\t}", []string{"branch: for {\n\t\tcontinue\n\t}"}},
		// What is no computation.
		{"x := make([]int, n, n+1)", nil},
		{"var x [8]int", nil},
		{"x := fmt.Errorf(\"%d\", a+1)", nil},
		{"x := refuse(\"too many: %d\", a+1)", nil},
		{"x := verdict{Text: a + b}", nil},
		{"panic(a + b)", nil},
		// How a loop is cut into pieces.
		{"x := p.For(n, 16/m, t)", []string{"arguments: x := p.For(16/m, n, t)", "arguments: x := p.For(n, t, 16/m)"}},
	} {
		require.Equal(t, c.want, changes(t, c.body), c.body)
	}
}

func TestGoSitesOfDeclarations(t *testing.T) {
	src := `package p

import "x"

type T [4]int

const (
	a = iota
	b
)

const c = 3

func (t T) String() string { return s[1:] }

func g() int { return c + 1 }
`
	found, err := goSites([]byte(src))
	require.NoError(t, err)
	var at []string
	for _, s := range found {
		at = append(at, s.Func)
	}
	require.Equal(t, []string{"c", "g", "g"}, at)
	require.Equal(t, 12, found[0].Line)
	_, err = goSites([]byte("package"))
	require.Error(t, err)
}

// Two listings are the same, so that a seed draws the same mutants again.
func TestSitesAreStable(t *testing.T) {
	root, err := moduleRoot(t.Context())
	require.NoError(t, err)
	a, err := sites(root)
	require.NoError(t, err)
	b, err := sites(root)
	require.NoError(t, err)
	require.Equal(t, a, b)
	files := map[string]bool{}
	for _, s := range a {
		files[s.File] = true
		require.False(t, strings.HasSuffix(s.File, "_test.go"))
		require.NotEmpty(t, s.Mutations)
	}
	require.True(t, files["drivers/cpu/memory.go"] && files["ops/kern/gemm/mul.go"], "the schedule and the kernels")
	require.False(t, files["ops/kern/check.go"])
	kinds := map[string]bool{}
	for _, s := range a {
		for _, m := range s.Mutations {
			kinds[m.Kind] = true
		}
	}
	for _, k := range []string{"constant", "comparison", "arithmetic", "sign", "logic", "term", "statement", "index", "bound", "loop", "arguments", "min-max", "condition", "branch"} {
		require.True(t, kinds[k], k)
	}
}

// An exception that matches nothing is out of date.
func TestExceptionsAreUsed(t *testing.T) {
	saved := exceptions
	defer func() { exceptions = saved }()
	exceptions = nil
	root, err := moduleRoot(t.Context())
	require.NoError(t, err)
	all, err := sites(root)
	require.NoError(t, err)
	sources := map[string][]byte{}
	for _, s := range all {
		if sources[s.File] == nil {
			sources[s.File], err = os.ReadFile(filepath.Join(root, filepath.FromSlash(s.File)))
			require.NoError(t, err)
		}
	}
	changes := make([][]string, len(all))
	for i, s := range all {
		src := sources[s.File]
		for _, m := range s.Mutations {
			changes[i] = append(changes[i], m.describe(src))
		}
	}
	for _, e := range saved {
		require.NotEmpty(t, e.why)
		exceptions = []exception{e}
		used := false
		for i := range all {
			used = used || slices.ContainsFunc(changes[i], func(change string) bool { return excepted(&all[i], change) != "" })
		}
		if !used && !strings.Contains(e.file, "_amd64") { // other machines have other files
			t.Errorf("nothing matches the exception %+v: take it off the list", e)
		}
	}
	exceptions = saved
	left, err := sites(root)
	require.NoError(t, err)
	require.Greater(t, len(left), len(all)*9/10, "exceptions are few")
}
