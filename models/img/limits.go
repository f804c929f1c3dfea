package img

import (
	"errors"
	"fmt"
)

// What can be wrong with a file; test with errors.Is. The full message names
// the file, the reason and the fix.
var (
	// ErrFormat: not a picture, or not in a format that is known here.
	ErrFormat = errors.New("not a known picture format")
	// ErrDamaged: a known format, but broken, truncated or without pixels.
	ErrDamaged = errors.New("damaged picture")
	// ErrTooLarge: beyond the limits.
	ErrTooLarge = errors.New("picture too large")
)

// Limits bounds what a file may cost. They are checked against its size and
// its header, before it is decoded. Decoding takes up to about 20 bytes per
// pixel for a moment (a progressive JPEG), usually 6; the result takes 3. A zero
// field means the default.
type Limits struct {
	MaxPixels int // width times height; default 2^27, about 134 million
	MaxSide   int // width and height; default 2^16
	MaxBytes  int // of the file; default 2^28
}

func (l Limits) orDefault() Limits {
	if l.MaxPixels <= 0 {
		l.MaxPixels = 1 << 27
	}
	if l.MaxSide <= 0 {
		l.MaxSide = 1 << 16
	}
	if l.MaxBytes <= 0 {
		l.MaxBytes = 1 << 28
	}
	return l
}

// check holds a header's claim against the limits and against the file's length
// in bytes.
func (l Limits) check(h header, bytes int) error {
	w, ht := int64(h.w), int64(h.h)
	switch {
	case w < 1 || ht < 1:
		return fmt.Errorf("%w: its header says %dx%d pixels, there is nothing to see", ErrDamaged, h.w, h.h)
	case w > int64(l.MaxSide) || ht > int64(l.MaxSide):
		return fmt.Errorf("%w: %dx%d pixels, a side may have %d: scale it down or raise MaxSide", ErrTooLarge, h.w, h.h, l.MaxSide)
	case w*ht > int64(l.MaxPixels):
		return fmt.Errorf("%w: %dx%d pixels, %d in all are allowed: scale it down or raise MaxPixels", ErrTooLarge, h.w, h.h, l.MaxPixels)
	case w*ht > h.free && w*ht > h.perByte*int64(bytes):
		return fmt.Errorf("%w: its header says %dx%d pixels, which its %d bytes cannot hold: it is truncated or forged, get the file again", ErrDamaged, h.w, h.h, bytes)
	}
	return nil
}
