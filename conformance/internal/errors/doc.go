// Package errors holds the cases that are about what must be refused: graphs with a mistake in every field, arguments that cannot be.
//
// Package errors imports what package suite does, and suite; see the table of
// rooms in internal/depcheck.
package errors
