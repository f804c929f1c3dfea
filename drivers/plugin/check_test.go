package plugin

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal/abi"
	"github.com/heddle-ml/heddle/hal/driver"
)

const goodCaps = `{"kind":"npu","model":"m","fingerprint":"f","ops":[{"name":"Add","elems":["f32"]}],"shapes":{"chunks":[1,128]},"heaps":[{"name":"h","host_visible":true,"align":64}]}`

func parseCaps(text string) (*driver.Caps, error) {
	c := new(driver.Caps)
	if err := json.Unmarshal([]byte(text), c); err != nil {
		return nil, err
	}
	return c, checkCaps(c)
}

func TestCheckCaps(t *testing.T) {
	_, err := parseCaps(goodCaps)
	require.NoError(t, err)
	for _, tt := range []struct{ old, new, want string }{
		{`"npu"`, `"toaster"`, "toaster"},
		{`"m"`, `""`, "model is empty"},
		{`"f"`, `""`, "fingerprint"},
		{`[{"name":"h","host_visible":true,"align":64}]`, `[]`, "heaps is empty"},
		{`"align":64`, `"align":-64`, "align -64"},
		{`"align":64`, `"align":65`, "align 65"},
		{`"align":64`, `"align":1073741824`, "power of two"},
		{`"align":64`, `"size":-1`, "size -1"},
		{`[1,128]`, `[128,1]`, "ascending"},
		{`[1,128]`, `[0]`, "positive"},
		{`"f32"`, `"f33"`, "f33"},
		{`"Add"`, `""`, "operator"},
		{`"elems":["f32"]`, `"max_rank":-2`, "rank -2"},
		{`"kind"`, `"limits":{"max_nodes":-1},"kind"`, "negative"},
	} {
		require.Contains(t, goodCaps, tt.old)
		_, err := parseCaps(strings.Replace(goodCaps, tt.old, tt.new, 1))
		require.ErrorContains(t, err, tt.want)
	}
}

// Whatever a library describes is refused, or usable.
func FuzzCaps(f *testing.F) {
	f.Add(goodCaps)
	f.Add(`{"kind":"npu","heaps":[{"align":9223372036854775807}]}`)
	f.Add("null")
	d := &device{lib: &library{}}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCaps(text)
		if err != nil {
			return
		}
		d.limit(c)
		require.NotEmpty(t, c.Heaps)
		for _, h := range c.Heaps {
			require.GreaterOrEqual(t, h.Align, int64(driver.PlaneAlign))
			require.Empty(t, h.Import, "there is no function for it")
		}
	})
}

// A verdict is read without looking outside of the texts.
func FuzzVerdict(f *testing.F) {
	f.Add(uint32(0), int32(0), uint32(0), uint32(0), []byte{})
	f.Add(uint32(2), int32(-1), uint32(1), uint32(3), []byte("text"))
	f.Add(uint32(255), int32(7), uint32(0xffffffff), uint32(0xffffffff), []byte("text"))
	f.Fuzz(func(t *testing.T, reason uint32, group int32, at, n uint32, texts []byte) {
		v, err := readVerdict(abi.Verdict{Reason: reason, Group: group, Text: at, TextLen: n}, texts)
		if err != nil {
			return
		}
		require.Equal(t, reason == 0, v.OK)
		require.Equal(t, v.OK, v.Text == "")
		require.Equal(t, v.OK, v.Code == "")
		require.GreaterOrEqual(t, v.Group, int32(0))
	})
}

func FuzzPrintable(f *testing.F) {
	f.Add([]byte("plain"))
	f.Add([]byte("\xff\x00\n\x1b[31m\u202e"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := printable(b)
		require.True(t, utf8.ValidString(s))
		require.Equal(t, -1, strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }))
	})
}

func TestStatusError(t *testing.T) {
	require.NoError(t, statusError("f", abi.StatusOK, nil, 0))
	for s, want := range statuses {
		err := statusError("f", s, []byte("because\x00 "), 8)
		require.ErrorIs(t, err, want)
		require.ErrorContains(t, err, "f: because: ")
	}
	for _, s := range []abi.Status{-1, 11, 1 << 30} {
		require.ErrorIs(t, statusError("f", s, nil, 0), errNonsense)
	}
}

func TestSplitID(t *testing.T) {
	for id, want := range map[string]struct {
		path string
		n    uint32
	}{
		"": {"", 0}, "/a.so": {"/a.so", 0}, "/a.so#3": {"/a.so", 3}, "/a#b/c.so": {"/a#b/c.so", 0}, "/a#1#2": {"/a#1", 2},
		"/a.so#": {"/a.so#", 0}, "/a.so#-1": {"/a.so#-1", 0}, "/a.so#4294967296": {"/a.so#4294967296", 0},
	} {
		path, n := splitID(id)
		require.Equal(t, want.path, path, id)
		require.Equal(t, want.n, n, id)
	}
}
