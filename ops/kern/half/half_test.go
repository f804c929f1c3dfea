package half_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern/half"
)

// value computes a 16-bit float by the definition of its format.
func value(h uint16, bits int) float64 {
	expBits := 15 - bits
	bias := 1<<(expBits-1) - 1
	exp, man := int(h>>bits)&(1<<expBits-1), float64(int(h)&(1<<bits-1))
	sign := 1.0
	if h>>15 != 0 {
		sign = -1
	}
	switch {
	case exp == 1<<expBits-1 && man != 0:
		return math.NaN()
	case exp == 1<<expBits-1:
		return math.Inf(int(sign))
	case exp == 0:
		return math.Copysign(math.Ldexp(man, 1-bias-bits), sign)
	}
	return sign * math.Ldexp(1+math.Ldexp(man, -bits), exp-bias)
}

func TestDecodeAll(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		for name, c := range map[string]struct {
			got  float32
			back uint16
			bits int
		}{
			"F16":  {half.FromF16(h), half.F16(half.FromF16(h)), 10},
			"BF16": {half.FromBF16(h), half.BF16(half.FromBF16(h)), 7},
		} {
			want := value(h, c.bits)
			if want != want {
				if c.got == c.got || c.back&0x7fff <= uint16(0x7fff>>c.bits<<c.bits) {
					t.Fatalf("%s: NaN %#04x decodes to %v and back to %#04x", name, h, c.got, c.back)
				}
				continue
			}
			if float64(c.got) != want || math.Signbit(float64(c.got)) != math.Signbit(want) || c.back != h {
				t.Fatalf("%s: %#04x is %v, want %v, and back %#04x", name, h, c.got, want, c.back)
			}
		}
	}
}

// Between each pair of neighbours: below the middle goes down, above it up, the
// middle to the even one. Encoding from float64 does the same just off the
// middle, where a detour over float32 would see a tie.
func TestRounding(t *testing.T) {
	for name, c := range map[string]struct {
		bits   int
		enc    func(float32) uint16
		enc64  func(float64) uint16
		finite uint16
	}{
		"F16":  {10, half.F16, half.F16From64, 0x7bff},
		"BF16": {7, half.BF16, half.BF16From64, 0x7f7f},
	} {
		for h := uint16(0); h < c.finite; h++ {
			a, b := value(h, c.bits), value(h+1, c.bits)
			mid := (a + b) / 2
			even := h + h&1
			check := func(x float64, want uint16) {
				if got := c.enc64(x); got != want {
					t.Fatalf("%s: float64 %v encodes to %#04x, want %#04x", name, x, got, want)
				}
				if got := c.enc64(-x); got != want|0x8000 {
					t.Fatalf("%s: float64 %v encodes to %#04x", name, -x, got)
				}
				if f := float32(x); float64(f) == x && c.enc(f) != want {
					t.Fatalf("%s: %v encodes to %#04x, want %#04x", name, x, c.enc(f), want)
				}
			}
			check(mid, even)
			check(math.Nextafter(mid, a), h)
			check(math.Nextafter(mid, b), h+1)
			check(float64(math.Nextafter32(float32(mid), float32(a))), h)
			check(float64(math.Nextafter32(float32(mid), float32(b))), h+1)
		}
		over := math.Ldexp(2-math.Ldexp(1, -c.bits-1), int(127*b2i(c.bits == 7)+15*b2i(c.bits == 10)))
		if got, inf := c.enc64(over), c.finite+1; got != inf {
			t.Errorf("%s: %v encodes to %#04x, want infinity", name, over, got)
		}
		if got := c.enc64(math.Nextafter(over, 0)); got != c.finite {
			t.Errorf("%s: just below %v encodes to %#04x, want the largest", name, over, got)
		}
		for _, x := range []float64{math.Inf(1), 1e300} {
			if c.enc64(x) != c.finite+1 || c.enc64(-x) != (c.finite+1)|0x8000 {
				t.Errorf("%s: %v does not encode to infinity", name, x)
			}
		}
		if got := c.enc64(math.NaN()); got&0x7fff <= c.finite+1 {
			t.Errorf("%s: NaN encodes to %#04x", name, got)
		}
		if got := c.enc(math.Float32frombits(0x7f800001)); got&0x7fff <= c.finite+1 {
			t.Errorf("%s: a NaN with low payload encodes to %#04x", name, got)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestSlices(t *testing.T) {
	src := []uint16{0x3c00, 0xc000, 0x7c00}
	f := make([]float32, 2)
	half.DecodeF16(f, src)
	if f[0] != 1 || f[1] != -2 {
		t.Errorf("DecodeF16: %v", f)
	}
	h := make([]uint16, 2)
	half.EncodeF16(h, f)
	if h[0] != src[0] || h[1] != src[1] {
		t.Errorf("EncodeF16: %#x", h)
	}
	half.EncodeBF16(h, f)
	half.DecodeBF16(f, h)
	if f[0] != 1 || f[1] != -2 {
		t.Errorf("bfloat16 and back: %v", f)
	}
}

func ExampleF16() {
	fmt.Printf("%#04x %v\n", half.F16(1.5), half.FromF16(0x3e00))
	// Output: 0x3e00 1.5
}
