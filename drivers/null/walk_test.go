package null_test

import (
	"encoding/json"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadme does what README.md says: it copies this folder, renames it,
// replaces the two functions by those that README.md shows, and sees the new
// device compute. The copy exists only in an overlay of the go command.
func TestReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a driver")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command here")
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	text := string(readme)
	for _, step := range []string{
		"    cp -r drivers/null drivers/npu\n",
		"    rm drivers/npu/README.md drivers/npu/walk_test.go\n",
		"    sed -i 's/null/npu/g' drivers/npu/*.go\n",
		"    go test ./drivers/npu\n",
	} {
		require.Contains(t, text, step)
	}
	copied := map[string]string{}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, f := range files {
		src, err := os.ReadFile(f)
		require.NoError(t, err)
		if f != "walk_test.go" {
			copied[strings.ReplaceAll(f, "null", "renamed")] = strings.ReplaceAll(string(src), "null", "npu")
		}
	}
	goTest(t, copied)

	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(text, -1)
	require.Len(t, blocks, 2)
	main := copied["renamed.go"]
	for _, b := range blocks {
		formatted, err := format.Source([]byte(b[1]))
		require.NoError(t, err)
		require.Equal(t, string(formatted), b[1], "README.md is formatted")
		main = replaceFunc(t, main, b[1])
	}
	copied["renamed.go"] = strings.Replace(main, "import (\n", "import (\n\t\"encoding/binary\"\n\t\"math\"\n", 1)
	for _, unused := range []string{"graph/enc", "ops"} {
		copied["renamed.go"] = strings.Replace(copied["renamed.go"], "\t\"github.com/heddle-ml/heddle/"+unused+"\"\n", "", 1)
	}
	delete(copied, "renamed_test.go")
	copied["relu_test.go"] = reluTest
	goTest(t, copied)
}

// replaceFunc replaces the function in src that has the name of the one in
// with.
func replaceFunc(t *testing.T, src, with string) string {
	find := func(src string) (*ast.FuncDecl, *token.FileSet) {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, "", src, parser.ParseComments)
		require.NoError(t, err)
		name := strings.TrimPrefix(with[:strings.Index(with, "(")], "func ")
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == name {
				return fn, fset
			}
		}
		t.Fatalf("there is no function %s to replace", name)
		return nil, nil
	}
	fn, fset := find(src)
	return src[:fset.Position(fn.Pos()).Offset] + with + src[fset.Position(fn.End()).Offset:]
}

// goTest runs the tests of a package drivers/npu with these files.
func goTest(t *testing.T, files map[string]string) {
	dir := t.TempDir()
	at, err := filepath.Abs(filepath.Join("..", "npu"))
	require.NoError(t, err)
	_, err = os.Stat(at)
	require.True(t, os.IsNotExist(err), "drivers/npu is this test's name for a driver that is not there")
	replace := map[string]string{}
	for name, src := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(src), 0o644))
		replace[filepath.Join(at, name)] = path
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	path := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(path, overlay, 0o644))
	// Built and run in two steps: go test would start in drivers/npu.
	binary := filepath.Join(dir, "npu.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-o", binary, "-overlay", path, "github.com/heddle-ml/heddle/drivers/npu")
	build.Dir = filepath.Join("..", "..")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	run := exec.Command(binary)
	run.Dir = dir
	out, err = run.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

const reluTest = `package npu_test

import (
	"bytes"
	"context"
	"testing"

	_ "github.com/heddle-ml/heddle/drivers/npu"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/ops"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func Test(t *testing.T) {
	ctx := context.Background()
	dev, err := hal.Open(ctx, "npu?validate=1")
	check(t, err)
	b := graph.NewBuilder("g", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, 4))
	b.Output("y", b.Op("Relu", []graph.ValueID{b.Op("Relu", []graph.ValueID{x})}))
	g, err := b.Build()
	check(t, err)
	exe, err := dev.Compile(ctx, g, hal.CompileOptions{})
	check(t, err)
	q, err := dev.NewQueue(hal.QueueOptions{})
	check(t, err)
	buf, err := dev.Alloc(ctx, 128)
	check(t, err)
	done, err := q.NewTimeline(0)
	check(t, err)
	in := []byte{0, 0, 128, 63, 0, 0, 128, 191, 0, 0, 0, 128, 0, 0, 0, 64} // 1 -1 -0 2
	out := make([]byte, 16)
	check(t, q.Submit(ctx, &hal.Batch{
		Cmds: []hal.Cmd{
			{Op: hal.Upload, Dst: buf.At(0, 16), Host: in},
			{Op: hal.Run, Exec: exe, Args: []hal.Region{buf.At(0, 16), buf.At(64, 16)}},
			{Op: hal.Download, Src: buf.At(64, 16), Host: out},
		},
		Signal: []hal.Point{{T: done, V: 1}},
	}))
	check(t, done.Wait(ctx, 1))
	want := []byte{0, 0, 128, 63, 0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 64}
	if !bytes.Equal(out, want) {
		t.Fatalf("Relu gave % x, want % x", out, want)
	}
	check(t, q.Close())
	check(t, exe.Close())
	check(t, buf.Close())
	check(t, dev.Close())

	b = graph.NewBuilder("g", ops.Standard)
	b.Output("y", b.Op("Tanh", []graph.ValueID{b.Input("x", graph.OfInts(enc.F32, 4))}))
	g, err = b.Build()
	check(t, err)
	dev, err = hal.Open(ctx, "npu")
	check(t, err)
	if _, err := dev.Compile(ctx, g, hal.CompileOptions{}); err == nil {
		t.Fatal("Tanh was taken")
	} else {
		t.Log(err)
	}
}
`
