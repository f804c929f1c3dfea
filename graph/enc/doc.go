// Package enc describes how numbers are stored: element types, and encodings
// that turn stored codes into logical reals. It knows sizes and layouts and
// the scalar conversions of half-precision formats; it has no kernels.
//
// Package enc imports nothing of ours but graph/dim. Its values are plain data and safe for
// concurrent use.
package enc
