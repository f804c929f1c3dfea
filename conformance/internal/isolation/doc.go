// Package isolation holds the cases that are about devices in a child process: crashes, hangs, garbage.
//
// Package isolation imports what package suite does, and suite; see the table of
// rooms in internal/depcheck.
package isolation
