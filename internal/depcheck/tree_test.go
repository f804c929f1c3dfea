package depcheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
)

const module = "github.com/heddle-ml/heddle"

// file is one Go file, whatever its build constraints.
type file struct {
	path    string // slash-separated, from the root of the module
	test    bool
	imports []string
	ast     *ast.File
	fset    *token.FileSet
}

// in returns the package's folder.
func (f *file) in() string { return path.Dir(f.path) }

// tree returns every Go file of the module.
func tree(t *testing.T) []*file {
	t.Helper()
	files, err := parseTree()
	require.NoError(t, err)
	require.Greater(t, len(files), 100, "the module has more files than that: was it found?")
	return files
}

// parseTree parses every Go file, once: also those that this machine does not
// build, which the go command would leave out.
var parseTree = sync.OnceValues(func() ([]*file, error) {
	var out []*file
	root := shared.Root()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != root && (strings.HasPrefix(name, ".") || name == "testdata" || isModule(p)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f := &file{path: filepath.ToSlash(rel), test: strings.HasSuffix(name, "_test.go"), fset: token.NewFileSet()}
		if f.ast, err = parser.ParseFile(f.fset, p, nil, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			return err
		}
		for _, i := range f.ast.Imports {
			what, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, what)
		}
		out = append(out, f)
		return nil
	})
	return out, err
})

// isModule reports whether a folder is a module of its own, such as a
// generator with dependencies that the rest does not need.
func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// ours returns the folder of a package of this module.
func ours(imported string) (string, bool) {
	rest, ok := strings.CutPrefix(imported, module)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return strings.TrimPrefix(rest, "/"), true
}

// isStd reports whether an import is of the standard library.
func isStd(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") && imported != "C"
}

// matches reports whether a folder, or import, is what a pattern says: itself,
// or with /... it and everything below.
func matches(pattern, name string) bool {
	base, below := strings.CutSuffix(pattern, "/...")
	return name == base || below && strings.HasPrefix(name, base+"/")
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// packages returns the folders that hold Go files other than tests, sorted.
func packages(files []*file) []string {
	var out []string
	for _, f := range files {
		if !f.test {
			out = append(out, f.in())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// closure returns everything that packages import, directly or not, without
// tests: folders of ours, and the import paths of others.
func closure(files []*file, from ...string) map[string]bool {
	direct := map[string][]string{}
	for _, f := range files {
		if !f.test {
			direct[f.in()] = append(direct[f.in()], f.imports...)
		}
	}
	seen := map[string]bool{}
	var visit func(dir string)
	visit = func(dir string) {
		if seen[dir] {
			return
		}
		seen[dir] = true
		for _, i := range direct[dir] {
			if d, ok := ours(i); ok {
				visit(d)
			} else {
				seen[i] = true
			}
		}
	}
	for _, dir := range from {
		visit(dir)
	}
	return seen
}
