// Package tty makes output that people like to read: tables whose columns
// line up, sizes and counts in words, colour and progress bars where the
// output is a terminal, and plain lines where it is not.
//
// It imports schollz/progressbar, golang.org/x/term and the standard library.
package tty
