package tty

import (
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Table lines up columns. The zero value is an empty table without a header.
type Table struct {
	// Right lists the columns that are set to the right, such as numbers.
	Right []int
	// Indent stands before every line.
	Indent string
	rows   [][]string
}

// Row appends a row. Cells may be styled, and rows may differ in length.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

var style = regexp.MustCompile("\x1b\\[[0-9;]*m")

// width is the columns that s takes: its code points, without styles.
func width(s string) int {
	if strings.Contains(s, "\x1b") {
		s = style.ReplaceAllString(s, "")
	}
	return utf8.RuneCountInString(s)
}

// Write writes the rows, two blanks between columns and none at the end of a
// line.
func (t *Table) Write(w io.Writer) error {
	var wide []int
	for _, r := range t.rows {
		for i, c := range r {
			if i == len(wide) {
				wide = append(wide, 0)
			}
			wide[i] = max(wide[i], width(c))
		}
	}
	right := make([]bool, len(wide))
	for _, i := range t.Right {
		if i < len(right) {
			right[i] = true
		}
	}
	var b strings.Builder
	for _, r := range t.rows {
		line := t.Indent
		for i, c := range r {
			if i > 0 {
				line += "  "
			}
			pad := strings.Repeat(" ", wide[i]-width(c))
			if right[i] {
				line += pad + c
			} else {
				line += c + pad
			}
		}
		b.WriteString(strings.TrimRight(line, " "))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
