package mapped_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/heddle-ml/heddle/models/ckpt/mapped"
	"github.com/stretchr/testify/require"
)

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, want := range []string{"", "x", "hello, world"} {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o600))
		f, err := mapped.Open(path)
		require.NoError(t, err)
		require.Equal(t, want, string(f.Data()))
		require.NoError(t, f.Close())
	}
	_, err := mapped.Open(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NotContains(t, err.Error(), "absent", "callers name the file")
	_, err = mapped.Open(t.TempDir())
	require.ErrorContains(t, err, "not a regular file")
}

func ExampleOpen() {
	path := filepath.Join(os.TempDir(), "heddle-mapped-example")
	_ = os.WriteFile(path, []byte("weights"), 0o600)
	defer os.Remove(path)
	f, err := mapped.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	fmt.Println(len(f.Data()))
	// Output: 7
}
