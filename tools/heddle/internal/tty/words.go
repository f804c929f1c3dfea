package tty

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Bytes writes a size in decimal units: "4.1 MB".
func Bytes(n int64) string {
	const units = "kMGTPE"
	if n > -1000 && n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1000, 0
	for (f >= 999.95 || f <= -999.95) && i < len(units)-1 {
		f /= 1000
		i++
	}
	return fmt.Sprintf("%.1f %cB", f, units[i])
}

// Count groups the digits of a number: "2,042,816".
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// Plural is a count with its noun, which takes an s unless there is one.
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(int64(n)) + " " + noun + "s"
}

// Duration rounds to three digits: "12.3 ms", "1.25 s".
func Duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	case d < time.Minute:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// OneLine makes a message that fits one line of a terminal's log: what is
// joined by line ends is joined by semicolons, and characters that would steer
// the terminal, such as those of a hostile file name, are spelled out. Messages
// beyond a few thousand characters are cut.
func OneLine(s string) string {
	var b strings.Builder
	glue := ""
	for part := range strings.Lines(s) {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(glue)
		}
		glue = "; "
		if strings.HasSuffix(part, ":") {
			glue = " "
		}
		for _, r := range part {
			if b.Len() > maxLine {
				b.WriteString(" ...")
				return b.String()
			}
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				q := strconv.QuoteRune(r)
				b.WriteString(q[1 : len(q)-1])
				continue
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

const maxLine = 4000
