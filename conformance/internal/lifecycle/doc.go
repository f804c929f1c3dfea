// Package lifecycle holds the cases about beginnings and ends: what a driver
// says before a device is open, opening and closing a thousand times, what is
// used after its end or closed in the wrong order, two devices at once, what
// capabilities say, and whether Supports and Compile agree.
//
// Package lifecycle imports what package suite does, and conformance/internal/rig.
package lifecycle
