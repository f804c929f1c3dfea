package depcheck

import (
	"bytes"
	"go/ast"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
)

// mayBeUnsafe lists where package unsafe is used, besides tests: memory that
// is seen as another type, or that is not Go's.
var mayBeUnsafe = []string{"graph/enc", "ops/kern/...", "hal/driver", "hal/abi/...", "hal/isolate/...", "drivers/...", "models/ckpt/..."}

func TestUnsafeIsConfined(t *testing.T) {
	for _, f := range tree(t) {
		if !f.test && slices.Contains(f.imports, "unsafe") && !matchesAny(mayBeUnsafe, f.in()) {
			t.Errorf("%s imports unsafe: only %s may", f.path, strings.Join(mayBeUnsafe, ", "))
		}
	}
}

func TestNoLinkname(t *testing.T) {
	for _, f := range tree(t) {
		if f.test {
			continue
		}
		for _, g := range f.ast.Comments {
			for _, c := range g.List {
				if strings.HasPrefix(c.Text, "//go:linkname") {
					t.Errorf("%s: %s: not outside of tests", f.fset.Position(c.Pos()), c.Text)
				}
			}
		}
	}
}

// Only a command ends the process.
func TestNoPackageEndsTheProcess(t *testing.T) {
	for _, f := range tree(t) {
		if f.test || matches("tools/...", f.in()) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := s.X.(*ast.Ident)
			if ok && (pkg.Name == "os" && s.Sel.Name == "Exit" || pkg.Name == "log" && strings.HasPrefix(s.Sel.Name, "Fatal")) {
				t.Errorf("%s: %s.%s: return an error", f.fset.Position(n.Pos()), pkg.Name, s.Sel.Name)
			}
			return true
		})
	}
}

// Every package has a doc.go, whose comment is the package's only one and says
// what the package may import.
func TestPackagesAreDescribed(t *testing.T) {
	files := tree(t)
	docs := map[string]string{}
	for _, f := range files {
		if f.test || f.ast.Doc == nil {
			continue
		}
		if path.Base(f.path) != "doc.go" {
			t.Errorf("%s has a package comment: it belongs in doc.go", f.path)
			continue
		}
		docs[f.in()] = f.ast.Doc.Text()
		begin := "Package " + f.ast.Name.Name + " "
		if f.ast.Name.Name == "main" {
			name := path.Base(f.in())
			begin = strings.ToUpper(name[:1]) + name[1:] + " "
		}
		if !strings.HasPrefix(docs[f.in()], begin) {
			t.Errorf("%s must begin with %q", f.path, begin)
		}
	}
	for _, dir := range packages(files) {
		switch doc := docs[dir]; {
		case doc == "":
			t.Errorf("%s has no doc.go that says what the package is", dir)
		case !strings.Contains(strings.ToLower(doc), "import"):
			t.Errorf("%s/doc.go does not say what the package imports", dir)
		}
	}
}

// foreign matches what means something on one machine only. It is put
// together so that this file does not match it.
var foreign = regexp.MustCompile(`(^|[^A-Za-z0-9_./-])/(` + `wo` + `rk|tmp|home|root)/[A-Za-z0-9_.]|proxy\.` + `golang\.org`)

func TestFilesAreOfNoMachine(t *testing.T) {
	root := shared.Root()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if d.IsDir() {
			if name := d.Name(); name == ".git" || rel == "bin" || rel == "out" {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if bytes.IndexByte(data[:min(len(data), 8192)], 0) >= 0 {
			return nil // not text
		}
		for i, line := range bytes.Split(data, []byte("\n")) {
			if m := foreign.Find(line); m != nil {
				t.Errorf("%s:%d: %q means nothing elsewhere", rel, i+1, m)
			}
		}
		return nil
	})
	require.NoError(t, err)
}

func TestForeign(t *testing.T) {
	for _, bad := range []string{"see /" + "work/main", `"/` + `tmp/x"`, "(/" + "home/me)", "GOPROXY=https://proxy." + "golang.org"} {
		require.True(t, foreign.MatchString(bad), bad)
	}
	for _, good := range []string{"a/" + "work/b", "work/", "os.TempDir()", "/dev/null", "x./" + "tmp/y"} {
		require.False(t, foreign.MatchString(good), good)
	}
}
