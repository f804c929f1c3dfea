// Package models holds the cases that are answers of the embedded model.
//
// Package models imports what package suite does, and suite; see the table of
// rooms in internal/depcheck.
package models
