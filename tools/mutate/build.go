package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tree is a copy of the module, in which one file at a time is changed.
type tree struct {
	dir string // of the copy
	bin string // the command, built from it
	// program is the hash of the command built from unchanged code.
	program [sha256.Size]byte
}

// copyTree copies what the command is built from.
func copyTree(root, to string) (*tree, error) {
	t := &tree{dir: filepath.Join(to, "tree"), bin: filepath.Join(to, "heddle")}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name := d.Name()
		switch {
		case rel != "." && strings.HasPrefix(name, "."), d.IsDir() && name == "testdata":
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(t.dir, rel), 0o755)
		case !d.Type().IsRegular() || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(t.dir, rel), data, 0o644)
	})
	return t, err
}

// build builds the command. The error holds what the compiler said.
func (t *tree) build(ctx context.Context) error {
	// Without paths, symbols and identifiers two programs are the same file
	// when they are the same code.
	cmd := exec.CommandContext(ctx, "go", "build", "-p", "2", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", t.bin, "./tools/heddle")
	cmd.Dir = t.dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// hash identifies the program that was built last.
func (t *tree) hash() ([sha256.Size]byte, error) {
	data, err := os.ReadFile(t.bin)
	return sha256.Sum256(data), err
}

// change writes a mutated file, and returns its source as it was. restore puts
// it back.
func (t *tree) change(file string, m Mutation) (src []byte, restore func() error, err error) {
	path := filepath.Join(t.dir, filepath.FromSlash(file))
	if src, err = os.ReadFile(path); err != nil {
		return nil, nil, err
	}
	return src, func() error { return os.WriteFile(path, src, 0o644) }, os.WriteFile(path, m.apply(src), 0o644)
}
