// Package img turns picture files into the tensors a vision tower reads:
// decode, choose tiles, cut, normalise.
//
//	p, err := img.Open("photo.jpg", img.Limits{})
//	l, err := config.Layout(p.W, p.H)   // package tiling
//	t, err := img.Cut(p, l)             // uint8 [tiles, side, side, 3]
//	err = norm.Fill(values, t)          // float32 [tiles, 3, side, side]
//
// The aim is the exact input the model was trained on, which Pillow and Hugging
// Face's processors define: the same RGB out of the file, the same resampled
// pixels, the same float32 values. Where this falls short is said at [Decode].
//
// Files are hostile until decoded. A picture's size is read from its header and
// held against [Limits] before memory is taken for its pixels, and a header that
// claims far more pixels than its file can hold is refused.
//
// Everything is a plain value or a pure function, safe for concurrent use. A
// picture's rows are shared among a few goroutines, which end before the call
// returns.
//
// It imports models/img/resample, models/img/tiling, golang.org/x/image and the
// standard library.
package img
