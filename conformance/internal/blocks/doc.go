// Package blocks holds the cases that are the parts that models are made of: transformer blocks, projectors, decoders with their caches.
//
// Package blocks imports what package suite does, and suite; see the table of
// rooms in internal/depcheck.
package blocks
