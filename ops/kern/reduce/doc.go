// Package reduce folds one axis of a tensor. The tensor is seen as
// [outer, n, inner] and the axis of length n disappears; several adjacent axes
// are one axis, and axes that are not adjacent are reduced one after the other.
//
// dst has outer*inner elements and src outer*n*inner; shorter slices panic. The
// functions are pure; ranges of outer may be computed concurrently.
// It imports the standard library and package vec.
package reduce
