package main

import (
	"bytes"
	"fmt"
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mutation replaces the bytes of a file from Start to End by New.
type Mutation struct {
	// Kind is one of: constant, comparison, arithmetic, sign, logic, term,
	// statement, index, bound, loop, arguments, min-max, condition, branch;
	// in assembly: opcode, constant, instruction, register.
	Kind       string
	Start, End int
	New        string
}

// apply returns the changed source.
func (m Mutation) apply(src []byte) []byte {
	return slices.Concat(src[:m.Start], []byte(m.New), src[m.End:])
}

// describe tells the change on one line.
func (m Mutation) describe(src []byte) string {
	line := func(s string) string {
		s = strings.Join(strings.Fields(s), " ")
		if len(s) > 48 {
			s = s[:45] + "..."
		}
		return s
	}
	was, is := line(string(src[m.Start:m.End])), line(m.New)
	switch {
	case was == "":
		return "insert " + is
	case is == "":
		return "delete " + was
	}
	return was + " -> " + is
}

// Site is a place where something can be changed, in one of several ways.
type Site struct {
	File string // slash-separated, from the root of the module
	Line int
	// Func is the function or the constants that it is part of, if known.
	Func      string
	Mutations []Mutation
	text      string // its line
}

// targets are the folders whose code is changed.
var targets = []string{"drivers/cpu", "ops/kern"}

// sites lists what can be changed in the tree at root, in the order of files
// and lines.
func sites(root string) ([]Site, error) {
	var out []Site
	for _, dir := range targets {
		err := filepath.WalkDir(filepath.Join(root, filepath.FromSlash(dir)), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && d.Name() == "testdata" {
				return filepath.SkipDir
			}
			name := d.Name()
			if d.IsDir() || strings.HasSuffix(name, "_test.go") || !strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, ".s") {
				return nil
			}
			// Other architectures' code is not built here.
			if ok, err := build.Default.MatchFile(filepath.Dir(path), name); err != nil || !ok {
				return err
			}
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			rel = filepath.ToSlash(rel)
			var found []Site
			if strings.HasSuffix(name, ".s") {
				found = asmSites(src)
			} else if found, err = goSites(src); err != nil {
				return fmt.Errorf("%s: %w", rel, err)
			}
			lines := bytes.Split(src, []byte("\n"))
			for _, s := range found {
				s.File, s.text = rel, strings.TrimSpace(string(lines[s.Line-1]))
				s.Mutations = slices.DeleteFunc(s.Mutations, func(m Mutation) bool { return excepted(&s, m.describe(src)) != "" })
				if len(s.Mutations) > 0 {
					out = append(out, s)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there is nothing to change in %s", strings.Join(targets, " and "))
	}
	return out, nil
}
