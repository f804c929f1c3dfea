// Package determinism holds the cases that are about equal results of equal runs.
//
// Package determinism imports what package suite does, and suite; see the table of
// rooms in internal/depcheck.
package determinism
