package depcheck

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
)

// app is a program that uses everything of the static tier.
const app = `package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	_ "github.com/heddle-ml/heddle/drivers/static"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/models"
)

func main() {
	ctx := context.Background()
	for _, d := range hal.Devices(ctx) {
		fmt.Println(d.Name, len(d.Devices), d.Err)
	}
	if _, err := models.Open(ctx, "no such folder", nil); !errors.Is(err, fs.ErrNotExist) {
		fmt.Println(err)
		os.Exit(1)
	}
}
`

// A program that imports drivers/static and no other drivers is a static
// binary when it is built without cgo: nothing is loaded when it starts.
func TestAnAppIsStatic(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a program")
	}
	if _, err := exec.LookPath("go"); err != nil || runtime.GOOS != "linux" {
		t.Skip("it takes the go command and ELF files")
	}
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "app")
	require.NoError(t, os.WriteFile(source, []byte(app), 0o644))
	build := exec.Command("go", "build", "-o", binary, source)
	build.Dir = shared.Root()
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	f, err := elf.Open(binary)
	require.NoError(t, err)
	defer f.Close()
	for _, p := range f.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type, "it asks for a dynamic linker")
		require.NotEqual(t, elf.PT_DYNAMIC, p.Type)
	}
	libs, err := f.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libs)

	run := exec.Command(binary)
	run.Dir = dir
	out, err = run.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "cpu 1 <nil>\n", string(out))
}
