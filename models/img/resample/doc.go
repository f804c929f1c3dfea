// Package resample resizes 8-bit pictures exactly as Pillow does: the same
// pixels, bit for bit, as Image.resize of Pillow 9 gives for modes L, RGB and
// RGBA. Vision towers were trained on Pillow's pixels, so a filter that is
// merely close costs accuracy that no later stage can give back.
//
// Like Pillow, and unlike most GPU samplers, every filter but [Nearest] is
// antialiased: its support widens by the scale when a picture shrinks.
//
// Functions are pure: they read the source, return a new picture, and are safe
// for concurrent use. Rows are shared among a few goroutines that end before
// the call returns.
//
// It imports the standard library only.
package resample
