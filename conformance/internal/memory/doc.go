// Package memory holds the cases about memory: allocation, alignment, mapping,
// moving data with all offsets and strides, arguments inside larger memory,
// sharing, limits, and what happens beyond them.
//
// Package memory imports what package suite does, and conformance/internal/rig.
package memory
