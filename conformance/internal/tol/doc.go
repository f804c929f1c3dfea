// Package tol says how far a device's result may be from the oracle's, and
// measures how far it is.
//
// The limit of each element is a function of the operator's class, the element
// type and the length of the sums behind it; see [Table]. Besides the largest
// error, two figures over the whole tensor are judged, because an error that
// is small everywhere still ruins a model when it always points the same way:
// the bias, relative to the magnitude of the result, and the normalised mean
// square error.
//
// Package tol imports graph/enc, ops and ops/oracle. Its functions are safe for
// concurrent use.
package tol
