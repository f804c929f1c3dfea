// Package cache holds the cases that are about compiled blobs: saving, judging, restoring, refusing.
//
// Package cache imports what package suite does, and suite; see the table of
// rooms in internal/depcheck.
package cache
