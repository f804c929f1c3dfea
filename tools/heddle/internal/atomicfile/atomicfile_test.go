package atomicfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/tools/heddle/internal/atomicfile"
)

func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

func TestCommit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.bin")
	f, err := atomicfile.Create(path)
	require.NoError(t, err)
	defer f.Discard()
	_, err = f.Write([]byte("all of it"))
	require.NoError(t, err)
	require.NoFileExists(t, path, "not before it is whole")
	require.NoError(t, f.Commit())
	f.Discard()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "all of it", string(data))
	require.Equal(t, []string{"out.bin"}, files(t, dir))
}

func TestDiscardKeepsWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.bin")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	f, err := atomicfile.Create(path)
	require.NoError(t, err)
	_, err = f.Write([]byte("half"))
	require.NoError(t, err)
	f.Discard()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(data))
	require.Equal(t, []string{"out.bin"}, files(t, dir))
}

func TestKeepsModeAndLink(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o640))
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	f, err := atomicfile.Create(link)
	require.NoError(t, err)
	defer f.Discard()
	_, err = f.Write([]byte("new"))
	require.NoError(t, err)
	require.NoError(t, f.Commit())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "new", string(data))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)
	info, err = os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode().Perm())
}

func TestSpecialFilesAreWrittenDirectly(t *testing.T) {
	if _, err := os.Stat("/dev/null"); err != nil {
		t.Skip("no /dev/null here")
	}
	f, err := atomicfile.Create("/dev/null")
	require.NoError(t, err)
	_, err = f.Write([]byte("gone"))
	require.NoError(t, err)
	require.NoError(t, f.Commit())
	info, err := os.Stat("/dev/null")
	require.NoError(t, err)
	require.False(t, info.Mode().IsRegular())
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := atomicfile.Create(dir)
	require.ErrorContains(t, err, "is a folder")
	_, err = atomicfile.Create(filepath.Join(dir, "no", "such", "folder"))
	require.ErrorContains(t, err, "cannot write "+filepath.Join(dir, "no", "such", "folder"))
}
