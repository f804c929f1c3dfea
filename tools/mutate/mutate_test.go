package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDiff(t *testing.T) {
	src := []byte("a\nb\nc\nd\nx := 1\ne\nf\ng\nh\n")
	at := bytes.Index(src, []byte("1"))
	require.Equal(t, `--- a/p/f.go
+++ b/p/f.go
@@ -2,7 +2,7 @@
 b
 c
 d
-x := 1
+x := 2
 e
 f
 g
`, diff("p/f.go", src, Mutation{"constant", at, at + 1, "2"}))
	require.Equal(t, `--- a/f
+++ b/f
@@ -1,1 +1,1 @@
-a
+b
`, diff("f", []byte("a\n"), Mutation{"constant", 0, 1, "b"}))
}

func TestDescribe(t *testing.T) {
	src := []byte("x := 1")
	require.Equal(t, "1 -> 2", Mutation{"", 5, 6, "2"}.describe(src))
	require.Equal(t, "insert ; break", Mutation{"", 6, 6, "; break"}.describe(src))
	require.Equal(t, "delete x := 1", Mutation{"", 0, 6, ""}.describe(src))
}

func TestStages(t *testing.T) {
	s := &suite{tiers: []string{"avx2", "generic"}, groups: []group{
		{"ops.add", time.Second}, {"ops.matmul", 2 * time.Second}, {"ops.exp", 2 * time.Second}, {"lifecycle.open", 20 * time.Second},
	}}
	got := s.stages("ops/kern/gemm/mul.go")
	var text []string
	for _, st := range got {
		text = append(text, st.tier+" "+st.match)
		require.Greater(t, st.limit, time.Minute)
	}
	require.Equal(t, []string{
		`avx2 ^(ops\.matmul)(\.|$)`, `avx2 ^(ops\.add|ops\.exp)(\.|$)`, `avx2 ^(lifecycle\.open)(\.|$)`,
		`generic ^(ops\.matmul)(\.|$)`, `generic ^(ops\.add|ops\.exp)(\.|$)`, `generic ^(lifecycle\.open)(\.|$)`,
	}, text)
	require.Equal(t, "generic", s.stages("ops/kern/generic.go")[0].tier)
	for _, st := range s.stages("ops/kern/tile_amd64.s") {
		require.Equal(t, "avx2", st.tier)
	}
	require.Equal(t, "ops.matmul", groupOf("ops.matmul.f32.m1"))
	require.Equal(t, "errors.x", groupOf("errors.x"))
}

func TestFirstLine(t *testing.T) {
	require.Equal(t, "panic: index out of range", firstLine("note\npanic: index out of range\n\ngoroutine 1"))
	require.Equal(t, "heddle: no", firstLine("heddle: no\n"))
	require.Empty(t, firstLine(""))
}

func TestReport(t *testing.T) {
	r := &Report{Seed: 7, Mutants: []Mutant{
		{File: "a/b.go", Line: 3, Kind: "sign", Caught: true, By: "ops.neg.f32"}, {File: "a/b.go", Line: 5, Kind: "term", Diff: "--- a/a/b.go\n"},
	}}
	r.sum()
	require.Equal(t, []int{1, 1}, []int{r.Caught, r.Survived})
	require.EqualValues(t, 50, r.Share)
	var b strings.Builder
	r.print(&b)
	require.Contains(t, b.String(), "1 of 2 caught, 50.0 %")
	require.Contains(t, b.String(), "survived:\n--- a/a/b.go")
	dir := t.TempDir()
	require.NoError(t, r.write(""))
	require.NoError(t, r.write(filepath.Join(dir, "r.json")))
	data, err := os.ReadFile(filepath.Join(dir, "r.json"))
	require.NoError(t, err)
	var again Report
	require.NoError(t, json.Unmarshal(data, &again))
	require.Equal(t, *r, again)
	out := filepath.Join(dir, "out")
	for _, m := range r.Mutants {
		require.NoError(t, m.save(""))
		require.NoError(t, m.save(out))
	}
	diffs, err := filepath.Glob(filepath.Join(out, "*"))
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(out, "a_b.go_5_term.diff")}, diffs)
}

// fake is a suite whose command is a script.
func fake(t *testing.T, script string) *suite {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "heddle")
	require.NoError(t, os.WriteFile(bin, []byte("#!/bin/sh\n"+script), 0o755))
	return &suite{tree: &tree{dir: dir, bin: bin}, memory: 4 << 30}
}

// What the command can answer, and what that says of a mutant.
func TestVerdicts(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("there is no shell")
	}
	ctx := context.Background()
	for _, c := range []struct {
		name, script string
		want         verdict
	}{
		{"pass", `echo '{"passed": true, "failures": []}'`, verdict{}},
		{"fail", `echo '{"failures": [{"id": "ops.x", "reason": "off"}]}'; exit 1`, verdict{true, "ops.x", "off"}},
		{"crash", `echo 'panic: no' >&2; exit 2`, verdict{true, "crash", "panic: no"}},
		{"cannot open", `echo 'heddle: tier "avx2" is not usable here' >&2; exit 1`, verdict{true, "open", `heddle: tier "avx2" is not usable here`}},
		{"profile", `echo '{"passed": false, "failures": []}'; echo 'heddle: a profile' >&2; exit 1`, verdict{true, "profiles", "heddle: a profile"}},
		{"hang", `exec sleep 60`, verdict{true, "timeout", "no end after 1s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			limit := time.Minute
			if c.want.by == "timeout" {
				limit = time.Second
			}
			got, err := fake(t, c.script).run(ctx, "avx2", "x", "", limit)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	_, err := fake(t, `echo 'heddle: no case matches: x' >&2; exit 1`).run(ctx, "avx2", "^x", "", time.Minute)
	require.ErrorContains(t, err, "no case matches")
	_, err = fake(t, `true`).run(ctx, "avx2", "^x", "", time.Minute)
	require.ErrorContains(t, err, "no JSON")
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = fake(t, `true`).run(ended, "avx2", "^x", "", time.Minute)
	require.ErrorIs(t, err, context.Canceled)
}

// A case that fails once only catches nothing, a stage that always fails does.
func TestFlakyCasesAreNotBelieved(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("there is no shell")
	}
	fail := `{"failures": [{"id": "ops.x", "reason": "off"}]}`
	st := stage{"avx2", "^ops", time.Minute}
	once := fake(t, `test -e seen || { touch seen; echo '`+fail+`'; exit 1; }; echo '{"failures": []}'`)
	v, err := once.judge(t.Context(), st)
	require.NoError(t, err)
	require.Equal(t, verdict{}, v)
	// Alone the case passes, in company it always fails.
	crowd := fake(t, `case "$*" in *'ops\.x'*) echo '{"failures": []}';; *) echo '`+fail+`'; exit 1;; esac`)
	v, err = crowd.judge(t.Context(), st)
	require.NoError(t, err)
	require.Equal(t, "ops.x", v.by)
	always := fake(t, `echo '`+fail+`'; echo >>runs; exit 1`)
	v, err = always.judge(t.Context(), st)
	require.NoError(t, err)
	require.Equal(t, "ops.x", v.by)
	runs, err := os.ReadFile(filepath.Join(always.tree.dir, "runs"))
	require.NoError(t, err)
	require.Len(t, runs, 2, "one to find it, one to confirm")
}

// The work is done in a copy, which leaves out what is not built.
func TestCopyTree(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	write("go.mod", "module m\n")
	write("a/a.go", "package a\n")
	write("a/a_test.go", "package a\n")
	write("a/testdata/x", "")
	write(".git/config", "")
	c, err := copyTree(root, t.TempDir())
	require.NoError(t, err)
	var got []string
	require.NoError(t, filepath.WalkDir(c.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(c.dir, path)
			got = append(got, filepath.ToSlash(rel))
		}
		return err
	}))
	require.Equal(t, []string{"a/a.go", "go.mod"}, got)

	src, restore, err := c.change("a/a.go", Mutation{"constant", 8, 9, "b"})
	require.NoError(t, err)
	require.Equal(t, "package a\n", string(src))
	changed, err := os.ReadFile(filepath.Join(c.dir, "a", "a.go"))
	require.NoError(t, err)
	require.Equal(t, "package b\n", string(changed))
	require.NoError(t, restore())
	for _, dir := range []string{root, c.dir} {
		as, err := os.ReadFile(filepath.Join(dir, "a", "a.go"))
		require.NoError(t, err)
		require.Equal(t, "package a\n", string(as))
	}
}

// What is drawn does not depend on what else there is.
func TestDraw(t *testing.T) {
	var all []Site
	for i := range 100 {
		s := Site{File: "a.go", Func: "f", text: strings.Repeat("x", i/2)} // each line is there twice
		for k := range 4 {
			s.Mutations = append(s.Mutations, Mutation{Kind: "constant", Start: i, New: strings.Repeat("1", k)})
		}
		all = append(all, s)
	}
	order := func(all []Site, seed uint64) (at, kinds []int) {
		for _, d := range draw(all, seed) {
			at, kinds = append(at, d.mutation.Start), append(kinds, len(d.mutation.New))
		}
		return at, kinds
	}
	first, kinds := order(all, 1)
	again, _ := order(all, 1)
	require.Equal(t, first, again)
	other, _ := order(all, 2)
	require.NotEqual(t, first, other)
	require.ElementsMatch(t, first, other)
	for k := range 4 {
		require.Contains(t, kinds, k)
	}
	fewer, _ := order(all[:98], 1)
	require.Equal(t, slices.DeleteFunc(first, func(i int) bool { return i >= 98 }), fewer)
}

func TestFilter(t *testing.T) {
	all := []Site{{File: "a.go"}, {File: "b.s"}}
	got, err := filter(all, `\.s$`)
	require.NoError(t, err)
	require.Equal(t, all[1:], got)
	_, err = filter(all, "c")
	require.ErrorContains(t, err, "-only c")
	_, err = filter(all, "(")
	require.ErrorContains(t, err, "-only")
}
