package img

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/heddle-ml/heddle/models/img/resample"
)

// RGB is a picture of W x H pixels, three bytes each, row by row without gaps;
// len(Pix) is W*H*3.
type RGB struct {
	W, H int
	Pix  []uint8
}

func newRGB(w, h int) RGB { return RGB{w, h, make([]uint8, w*h*3)} }

// row returns row y.
func (p RGB) row(y int) []uint8 { return p.Pix[y*p.W*3 : (y+1)*p.W*3] }

func (p RGB) check() error {
	if p.W < 1 || p.H < 1 || int64(len(p.Pix)) != int64(p.W)*int64(p.H)*3 {
		return fmt.Errorf("img: a picture of %dx%d pixels with %d bytes: sides must be positive and bytes three per pixel", p.W, p.H, len(p.Pix))
	}
	return nil
}

// Resize returns the picture resized to w x h with Pillow's exact pixels.
func (p RGB) Resize(w, h int, f resample.Filter) (RGB, error) {
	m, err := resample.Resize(p.samples(), w, h, f)
	if err != nil {
		return RGB{}, fmt.Errorf("img: %w", err)
	}
	return RGB{m.W, m.H, m.Pix}, nil
}

func (p RGB) samples() resample.Image {
	return resample.Image{W: p.W, H: p.H, Channels: 3, Pix: p.Pix}
}

// bandRows keeps goroutines from being started for small pictures.
const bandRows = 64

// bands calls f for disjoint ranges covering 0..rows-1, some at a time, and
// returns when all are done.
func bands(rows int, f func(lo, hi int)) {
	n := min(runtime.GOMAXPROCS(0), 16, rows/bandRows)
	if n < 2 {
		f(0, rows)
		return
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(rows*i/n, rows*(i+1)/n) })
	}
	wg.Wait()
}
