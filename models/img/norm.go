package img

import (
	"fmt"
	"math"
)

// Norm maps bytes to the float32 values a vision tower was trained on:
// (v*Rescale - Mean) / Std per channel, in the order and precision of Hugging
// Face's image processors.
type Norm struct {
	Rescale   float64    // usually 1/255
	Mean, Std [3]float64 // R, G, B
}

// SigLIP returns the normalisation to -1..1 that SigLIP, BlueLM-V and most
// recent towers use.
func SigLIP() Norm {
	return Norm{Rescale: 1.0 / 255, Mean: [3]float64{0.5, 0.5, 0.5}, Std: [3]float64{0.5, 0.5, 0.5}}
}

// Fill writes the tiles as float32 [N, 3, Side, Side], channels R, G, B. dst must
// have exactly N*3*Side*Side elements.
func (n Norm) Fill(dst []float32, t Tiles) error {
	plane := t.Side * t.Side
	if t.N < 0 || t.N > maxTiles || t.Side < 1 || t.Side > maxTileSide || len(t.Pix) != t.N*plane*3 {
		return fmt.Errorf("img: %d bytes for %d tiles of %d pixels: want three per pixel", len(t.Pix), t.N, t.Side)
	}
	if len(dst) != len(t.Pix) {
		return fmt.Errorf("img: room for %d values, %d tiles of %dx%d pixels need %d", len(dst), t.N, t.Side, t.Side, len(t.Pix))
	}
	table, err := n.table()
	if err != nil {
		return err
	}
	for ; len(dst) > 0; dst = dst[3*plane:] {
		in := t.Pix[len(t.Pix)-len(dst):][:3*plane]
		r, g, b := dst[:plane], dst[plane:2*plane], dst[2*plane:3*plane]
		for i := range r {
			p := in[3*i : 3*i+3]
			r[i], g[i], b[i] = table[0][p[0]], table[1][p[1]], table[2][p[2]]
		}
	}
	return nil
}

// table holds the value of each byte: there are only 256, so they can be
// computed in the reference's own order. The product is float64, rounded to
// float32; mean and deviation are applied in float32.
func (n Norm) table() (*[3][256]float32, error) {
	var t [3][256]float32
	for c := range t {
		mean, std := float32(n.Mean[c]), float32(n.Std[c])
		if std == 0 || math.IsNaN(n.Std[c]) {
			return nil, fmt.Errorf("img: a standard deviation of %v: it must be a number other than 0, check image_std of the preprocessor", n.Std[c])
		}
		for v := range t[c] {
			t[c][v] = (float32(float64(v)*n.Rescale) - mean) / std
		}
	}
	return &t, nil
}
