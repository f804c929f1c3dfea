// Package move copies: permutations, slices, expansions, concatenations and
// everything else that one strided copy can say, and gathering and scattering
// of rows.
//
// Element types matter only by their size, so callers may see any tensor as
// uint8, uint16, uint32 or uint64. Source and destination must not overlap.
// It imports only the standard library.
package move
