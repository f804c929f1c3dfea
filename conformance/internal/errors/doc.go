// Package errors holds the cases about what must be refused: graphs with a
// mistake in every field, binary graphs with changed bytes, weights that are not
// there, arguments that cannot be. A typed error that names what is wrong,
// never a crash, and a device that works afterwards.
//
// Package errors imports what package suite does, conformance/internal/rig and
// conformance/internal/mutate.
package errors
