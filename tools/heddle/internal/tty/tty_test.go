package tty

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func ExampleTable() {
	t := &Table{Right: []int{1}, Indent: "  "}
	t.Row("name", "bytes")
	t.Row("embed_tokens.weight", "196,608")
	t.Row("norm", "384")
	var b strings.Builder
	_ = t.Write(&b)
	fmt.Print(b.String())
	// Output:
	//   name                   bytes
	//   embed_tokens.weight  196,608
	//   norm                     384
}

func TestTableIgnoresStyles(t *testing.T) {
	w := &Writer{color: true}
	tab := &Table{}
	tab.Row(w.Green("ok"), "x")
	tab.Row("no", w.Dim("y"))
	tab.Row()
	var b strings.Builder
	require.NoError(t, tab.Write(&b))
	require.Equal(t, "\x1b[32mok\x1b[0m  x\nno  \x1b[2my\x1b[0m\n\n", b.String())
}

func TestWords(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_960: "1.0 MB", 4_123_456: "4.1 MB", 1 << 62: "4.6 EB", -2_000_000: "-2.0 MB"} {
		require.Equal(t, want, Bytes(n))
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 2_042_816: "2,042,816", -123456: "-123,456"} {
		require.Equal(t, want, Count(n))
	}
	require.Equal(t, "1 tile", Plural(1, "tile"))
	require.Equal(t, "2 tiles", Plural(2, "tile"))
	for d, want := range map[time.Duration]string{
		15 * time.Microsecond: "15 µs", 12345 * time.Microsecond: "12.3 ms", 123456 * time.Microsecond: "123 ms",
		1255 * time.Millisecond: "1.25 s", 61 * time.Second: "1m1s",
	} {
		require.Equal(t, want, Duration(d))
	}
}

func TestOneLine(t *testing.T) {
	require.Equal(t, "a: b; c", OneLine("a: b\nc\n"))
	require.Equal(t, "two things: a; b", OneLine("two things:\n\n  a\n\tb"))
	require.Equal(t, `file \x1b[2J.png`, OneLine("file \x1b[2J.png"))
	require.Equal(t, `x\u202ey`, OneLine("x\u202ey"))
	long := OneLine(strings.Repeat("é", 1<<20))
	require.Less(t, len(long), 5000)
	require.True(t, strings.HasSuffix(long, " ..."))
}

// Nothing is drawn for a file, and nothing for work that is done soon.
func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(New(&b), "eval", 10)
	p.Set(5, "half")
	p.Done()
	require.Empty(t, b.String())

	w := &Writer{Writer: &b, Terminal: true}
	p = NewProgress(w, "eval", 10)
	p.Set(5, "")
	p.Done()
	require.Empty(t, b.String())

	p.begun = time.Now().Add(-2 * patience)
	p.Set(5, "half")
	require.Contains(t, b.String(), "eval, half")
	p.Done()
}
