//go:build linux || darwin

package mapped_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/models/ckpt/mapped"
)

// The descriptor is the file's, for as long as it is open.
func TestFD(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, []byte("hello, world"), 0o600))
	f, err := mapped.Open(path)
	require.NoError(t, err)
	got := make([]byte, 5)
	n, err := unix.Pread(int(f.FD()), got, 7)
	require.NoError(t, err)
	require.Equal(t, "world", string(got[:n]))
	fd := int(f.FD())
	require.NoError(t, f.Close())
	_, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	require.ErrorIs(t, err, unix.EBADF)
}
