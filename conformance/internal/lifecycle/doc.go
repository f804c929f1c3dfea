// Package lifecycle holds the cases that are about opening and closing, again and again and in any order.
//
// Package lifecycle imports what package suite does, and suite; see the table of
// rooms in internal/depcheck.
package lifecycle
