package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/heddle-ml/heddle/hal/abi"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail if a file is not up to date")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "abigen:", err)
		os.Exit(1)
	}
}

// file is a generated file, its path relative to the module's folder.
type file struct {
	path string
	make func(*abi.Spec) ([]byte, error)
}

var files = []file{
	{"drivers/plugin/include/heddle_driver.h", header},
	{"hal/abi/mirror_gen.go", mirror},
	{"hal/abi/layout_gen_test.go", layoutTest},
	{"hal/abi/testdata/layout.c", layoutProgram},
}

func run(check bool) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	spec := abi.Describe()
	if err := verify(spec); err != nil {
		return err
	}
	for _, f := range files {
		want, err := f.make(spec)
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		path := filepath.Join(root, filepath.FromSlash(f.path))
		have, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		switch {
		case err == nil && bytes.Equal(have, want):
		case check:
			return fmt.Errorf("%s is not what hal/abi describes: run go generate ./hal/abi", f.path)
		default:
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(path, want, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// moduleRoot is the folder with go.mod, at or above the working directory.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod here or above: run it inside of the module")
		}
		dir = up
	}
	return "", err
}

// verify checks what the other functions rely on: names are used once,
// structures have no gaps and come after what they contain.
func verify(s *abi.Spec) error {
	known := map[string]bool{}
	for _, st := range s.Structs {
		if _, _, err := st.Layout(nil); err != nil {
			return err
		}
		if known[st.Name] {
			return fmt.Errorf("structure %s is there twice", st.Name)
		}
		fields := map[string]bool{}
		for i, f := range st.Fields {
			switch {
			case fields[f.Name]:
				return fmt.Errorf("%s.%s is there twice", st.Name, f.Name)
			case f.Type.Struct != nil && !known[f.Type.Struct.Name]:
				return fmt.Errorf("%s.%s: structure %s comes later", st.Name, f.Name, f.Type.Struct.Name)
			case i == 0 && !st.Fixed && f.Name != "head" && f.Name != "size":
				return fmt.Errorf("%s does not begin with its size", st.Name)
			}
			fields[f.Name] = true
		}
		known[st.Name] = true
	}
	names := map[string]bool{}
	for _, e := range s.Enums {
		for _, v := range e.Values {
			if names[v.Name] {
				return fmt.Errorf("constant %s is there twice", v.Name)
			}
			names[v.Name] = true
		}
	}
	funcs, optional := map[string]bool{}, false
	for _, f := range s.Funcs {
		if funcs[f.Name] || !known[f.Args.Name] || f.Required && optional {
			return fmt.Errorf("function %s: there twice, without arguments, or required behind optional ones", f.Name)
		}
		funcs[f.Name], optional = true, optional || !f.Required
	}
	return nil
}
