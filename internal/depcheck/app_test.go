package depcheck

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
)

// An app is a module of its own that requires this one. tools/example-app
// must build as a static binary, list devices, run on the one it is told to
// prefer and answer. Its go.mod follows this module's: after a change of
// requirements, run "go mod tidy" in its folder.
func TestTheExampleApp(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a program")
	}
	if _, err := exec.LookPath("go"); err != nil || runtime.GOOS != "linux" {
		t.Skip("it takes the go command and ELF files")
	}
	binary := filepath.Join(t.TempDir(), "app")
	build := exec.Command("go", "build", "-mod=readonly", "-o", binary, ".")
	build.Dir = filepath.Join(shared.Root(), "tools", "example-app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH, "GOFLAGS=", "GOWORK=off")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	f, err := elf.Open(binary)
	require.NoError(t, err)
	defer f.Close()
	for _, p := range f.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type, "it asks for a dynamic linker")
	}

	app := func(args ...string) (stdout, stderr string, err error) {
		var o, e bytes.Buffer
		run := exec.Command(binary, args...)
		run.Stdout, run.Stderr = &o, &e
		err = run.Run()
		return o.String(), e.String(), err
	}
	picture := filepath.Join(shared.Root(), "models", "demo", "examples", "shapes.png")
	const question = "What is right of the yellow star?"
	for _, device := range []string{"auto", "cpu", "warp,cpu"} {
		answer, said, err := app("-device", device, "-image", picture, question)
		require.NoError(t, err, said)
		require.Equal(t, "A blue square.\n", answer)
		require.Contains(t, said, "cpu:0 is a cpu")
		require.Contains(t, said, "vision   on cpu")
	}
	answer, said, err := app("-device", "warp", "-image", picture, question)
	require.Error(t, err)
	require.Empty(t, answer)
	require.Contains(t, said, "no such driver in this program; it has cpu")
}
