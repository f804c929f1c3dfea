// Package half converts between float32 and the 16-bit floats: IEEE 754
// binary16 (float16) and the upper half of binary32 (bfloat16), both held as
// uint16 bit patterns.
//
// Conversions to 16 bits round to nearest, ties to even, overflow to infinity
// and produce denormals; those from 16 bits are exact. A NaN stays a NaN (made
// quiet, its upper payload bits kept), an infinity an infinity, and a zero
// keeps its sign. It imports only package math. All functions are pure.
package half
