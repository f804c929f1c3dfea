package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
)

// TestTheVendorsHour does what drivers/README.md says, in an empty folder: it
// runs the commands of each way to write a driver in one shell, as they stand.
// Two things differ: "git clone" gives a copy of this tree, and, unless
// HEDDLE_WALK=full, the example in C is judged by the profile skeleton only,
// which takes seconds instead of minutes.
func TestTheVendorsHour(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds heddle and two drivers, and judges them")
	}
	for _, tool := range []string{"go", "cc", "sh", "sed"} {
		if _, err := exec.LookPath(tool); err != nil || runtime.GOOS != "linux" {
			t.Skipf("it takes Linux and %s", tool)
		}
	}
	readme, err := os.ReadFile(filepath.Join(shared.Root(), "drivers", "README.md"))
	require.NoError(t, err)
	ways := commands(t, string(readme))
	require.Len(t, ways, 2, "in C, and in Go")
	require.Contains(t, ways[0], "git clone https://github.com/heddle-ml/heddle\n")
	_, after, ok := strings.Cut(ways[0], "./tools/heddle)\n")
	require.True(t, ok)
	require.NotContains(t, after, "go ", "no Go once heddle is built")

	dir := t.TempDir()
	copyTree(t, shared.Root(), filepath.Join(dir, "clone"))
	before := listTree(t, filepath.Join(dir, "clone"))
	home := filepath.Join(dir, "vendor")
	require.NoError(t, os.Mkdir(home, 0o755))
	if os.Getenv("HEDDLE_WALK") != "full" {
		const whole = "bin/heddle conform --driver plugin:./npu.so --report npu.json\n"
		require.Contains(t, ways[0], whole)
		ways[0] = strings.Replace(ways[0], whole, strings.TrimSpace(whole)+" --profile skeleton\n", 1)
	}
	out := shell(t, home, "git() { mv ../clone heddle; }\n"+ways[0])
	for _, want := range []string{"  plugin:./npu.so  ", "plugin:./npu.so  npu; suite v0", "skeleton  yes      passed", "confirmed  20 cases run again\n", "A blue square.\n"} {
		require.Contains(t, out, want)
	}
	for _, name := range []string{"npu.json", "npu.md"} {
		require.FileExists(t, filepath.Join(home, name))
	}

	out = shell(t, home, ways[1])
	for _, want := range []string{"ok  \texample.com/npu", "--- PASS: TestConformance/memory", "valid  npu:0"} {
		require.Contains(t, out, want)
	}
	require.Equal(t, before, listTree(t, filepath.Join(home, "heddle")), "a driver touches no file of heddle")
}

// commands returns the shell commands of each way: of each section of the
// second level that has any.
func commands(t *testing.T, readme string) []string {
	t.Helper()
	var out []string
	for _, section := range regexp.MustCompile(`(?m)^## `).Split(readme, -1) {
		var script strings.Builder
		for _, b := range regexp.MustCompile("(?s)```sh\n(.*?)```\n").FindAllStringSubmatch(section, -1) {
			script.WriteString(b[1])
		}
		if script.Len() > 0 {
			out = append(out, script.String())
		}
	}
	return out
}

// shell runs a script until its first failure and returns what it printed.
func shell(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-e", "-c", script)
	cmd.Dir = dir
	// Without paths in what is compiled, a second walk finds it in the cache.
	cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// walkTree calls f for the files of a checkout: not for what git keeps, and
// what is built in it.
func walkTree(t *testing.T, root string, f func(path, rel string)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() && (rel == ".git" || rel == "bin" || rel == "out") {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() {
			f(path, rel)
		}
		return nil
	}))
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	walkTree(t, from, func(path, rel string) {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(to, rel), data, 0o644))
	})
}

// listTree returns the sizes of all files.
func listTree(t *testing.T, root string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	walkTree(t, root, func(path, rel string) {
		info, err := os.Stat(path)
		require.NoError(t, err)
		out[rel] = info.Size()
	})
	return out
}
