package dl_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/internal/dl"
)

var libc = map[string][]string{"linux": {"libc.so.6", "libc.so"}, "darwin": {"/usr/lib/libSystem.B.dylib"}}[runtime.GOOS]

func open(t testing.TB) *dl.Library {
	l, err := dl.Open(libc...)
	if err != nil {
		t.Skipf("no C library to try with: %v", err)
	}
	return l
}

func TestOpen(t *testing.T) {
	l := open(t)
	require.Contains(t, libc, l.Name())
	again, err := dl.Open(append([]string{"/there/is/none.so"}, libc...)...)
	require.NoError(t, err, "the first that loads")
	require.Contains(t, libc, again.Name())
}

func TestOpenFails(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.so")
	require.NoError(t, os.WriteFile(text, []byte("not a library"), 0o600))
	_, err := dl.Open("/there/is/none.so", text)
	require.ErrorIs(t, err, dl.ErrUnavailable)
	require.ErrorContains(t, err, "/there/is/none.so")
	require.ErrorContains(t, err, text, "the reason for each")
	_, err = dl.Open()
	require.ErrorIs(t, err, dl.ErrUnavailable)
}

func TestLookup(t *testing.T) {
	l := open(t)
	addr, ok := l.Lookup("strlen")
	require.True(t, ok)
	require.NotZero(t, addr)
	addr, ok = l.Lookup("heddle_has_no_such_symbol")
	require.False(t, ok)
	require.Zero(t, addr)
}

func TestCall(t *testing.T) {
	l := open(t)
	abs, ok := l.Lookup("labs")
	require.True(t, ok)
	minus := -41
	require.EqualValues(t, 41, dl.Call(abs, uintptr(minus)))

	strlen, ok := l.Lookup("strlen")
	require.True(t, ok)
	var pin runtime.Pinner
	defer pin.Unpin()
	text := []byte("woven\x00")
	pin.Pin(&text[0])
	require.EqualValues(t, 5, dl.Call(strlen, uintptr(unsafe.Pointer(&text[0]))))
}

func BenchmarkCall(b *testing.B) {
	abs, _ := open(b).Lookup("labs")
	args := []uintptr{1, 2}
	b.ReportAllocs()
	for b.Loop() {
		dl.Call(abs, args...)
	}
}
