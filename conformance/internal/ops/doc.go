// Package ops holds the cases that are single operators, in every element type and encoding, at odd sizes and at those of real models.
//
// Package ops imports what package suite does, and suite; see the table of
// rooms in internal/depcheck.
package ops
