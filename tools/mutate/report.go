package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Mutant is a change that was judged.
type Mutant struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Func   string `json:"func,omitempty"`
	Kind   string `json:"kind"`
	Change string `json:"change"`
	Caught bool   `json:"caught"`
	// By is the case that failed, "open", "crash", "timeout" or "profiles"; Tier
	// what it ran on.
	By      string  `json:"by,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	Tier    string  `json:"tier,omitempty"`
	Seconds float64 `json:"seconds"`
	Diff    string  `json:"diff"`
}

// Report is the outcome of a run.
type Report struct {
	Seed         uint64   `json:"seed"`
	Sites        int      `json:"sites"`
	Exceptions   int      `json:"exceptions"`
	Caught       int      `json:"caught"`
	Survived     int      `json:"survived"`
	Uncompilable int      `json:"uncompilable"` // drawn again
	NoChange     int      `json:"no_change"`    // drawn again
	Share        float64  `json:"share"`        // percentage caught
	Seconds      float64  `json:"seconds"`
	Mutants      []Mutant `json:"mutants"`
}

func (r *Report) sum() {
	for _, m := range r.Mutants {
		if m.Caught {
			r.Caught++
		} else {
			r.Survived++
		}
	}
	if n := len(r.Mutants); n > 0 {
		r.Share = 100 * float64(r.Caught) / float64(n)
	}
}

// print writes a row of the table, as soon as it is known.
func (m *Mutant) print(w io.Writer, n int) {
	outcome := "caught by " + m.By
	if !m.Caught {
		outcome = "SURVIVED"
	}
	place := fmt.Sprintf("%s:%d", m.File, m.Line)
	fmt.Fprintf(w, "%3d  %-38s %-12s %-50s %6.1f s  %s\n", n, place, m.Kind, m.Change, m.Seconds, outcome)
}

// print writes the totals and the survivors.
func (r *Report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%d of %d caught, %.1f %%, in %.0f s; %d did not compile and %d changed nothing, and were drawn again; %d sites, seed %d\n",
		r.Caught, len(r.Mutants), r.Share, r.Seconds, r.Uncompilable, r.NoChange, r.Sites, r.Seed)
	for _, m := range r.Mutants {
		if !m.Caught {
			fmt.Fprintf(w, "\nsurvived:\n%s", m.Diff)
		}
	}
}

// write writes the outcome as JSON, if a file is named.
func (r *Report) write(path string) error {
	if path == "" {
		return nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// save writes the diff of a survivor to a folder, as soon as it is known.
func (m *Mutant) save(dir string) error {
	if dir == "" || m.Caught {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := fmt.Sprintf("%s_%d_%s.diff", strings.ReplaceAll(m.File, "/", "_"), m.Line, m.Kind)
	return os.WriteFile(filepath.Join(dir, name), []byte(m.Diff), 0o644)
}

// diff shows a change as a unified diff, with three lines around it.
func diff(file string, src []byte, m Mutation) string {
	const around = 3
	was, is := split(src), split(m.apply(src))
	same := 0 // lines at the beginning
	for same < min(len(was), len(is)) && was[same] == is[same] {
		same++
	}
	end := 0 // lines at the end
	for end < min(len(was), len(is))-same && was[len(was)-1-end] == is[len(is)-1-end] {
		end++
	}
	from := max(0, same-around)
	after := min(around, end)
	var b strings.Builder
	fmt.Fprintf(&b, "--- a/%s\n+++ b/%s\n@@ -%d,%d +%d,%d @@\n", file, file, from+1, len(was)-end+after-from, from+1, len(is)-end+after-from)
	put := func(mark string, lines []string) {
		for _, l := range lines {
			fmt.Fprintf(&b, "%s%s\n", mark, l)
		}
	}
	put(" ", was[from:same])
	put("-", was[same:len(was)-end])
	put("+", is[same:len(is)-end])
	put(" ", was[len(was)-end:len(was)-end+after])
	return b.String()
}

// split returns the lines of a file without their ends.
func split(src []byte) []string {
	return strings.Split(strings.TrimSuffix(string(src), "\n"), "\n")
}
