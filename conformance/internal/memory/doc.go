// Package memory holds the cases that are about memory: allocation, mapping, import, aliasing, guards, limits.
//
// Package memory imports what package suite does, and suite; see the table of
// rooms in internal/depcheck.
package memory
