package img

import (
	"bytes"
	"encoding/binary"
)

// exifMark precedes an Exif block in JPEG, and in some writers' WebP and PNG.
const exifMark = "Exif\x00\x00"

// exifOfJPEG returns the TIFF structure of the first Exif segment before the
// scan data, or nil.
func exifOfJPEG(d []byte) []byte {
	for d = d[2:]; len(d) >= 4 && d[0] == 0xff; {
		marker := d[1]
		if marker == 0xff { // fill byte
			d = d[1:]
			continue
		}
		if marker == 0x01 || marker >= 0xd0 && marker <= 0xd8 { // no length
			d = d[2:]
			continue
		}
		if marker == 0xda || marker == 0xd9 { // scan, end
			return nil
		}
		n := int(binary.BigEndian.Uint16(d[2:]))
		if n < 2 || 2+n > len(d) {
			return nil
		}
		if body := d[4 : 2+n]; marker == 0xe1 && bytes.HasPrefix(body, []byte(exifMark)) {
			return body[len(exifMark):]
		}
		d = d[2+n:]
	}
	return nil
}

// exifOfPNG returns the eXIf chunk or nil.
func exifOfPNG(d []byte) []byte {
	for d = d[8:]; len(d) >= 12; {
		n := int64(binary.BigEndian.Uint32(d))
		if 12+n > int64(len(d)) {
			return nil
		}
		if string(d[4:8]) == "eXIf" {
			return bytes.TrimPrefix(d[8:8+n], []byte(exifMark))
		}
		d = d[12+n:]
	}
	return nil
}

// orientation reads the tag of that name in a TIFF structure: 1 to 8, and 1 when
// it is absent or nonsense.
func orientation(t []byte) int {
	const tag = 0x0112
	if o, ok := shortTag(t, tag); ok && o >= 1 && o <= 8 {
		return o
	}
	return 1
}

// shortTag returns the first value of a 16-bit tag in a TIFF structure's first
// directory, where it is stored in the directory itself.
func shortTag(t []byte, tag uint16) (int, bool) {
	if len(t) < 8 {
		return 0, false
	}
	var order binary.ByteOrder
	switch string(t[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0, false
	}
	at := int64(order.Uint32(t[4:]))
	if at+2 > int64(len(t)) {
		return 0, false
	}
	entries := t[at+2:]
	for range order.Uint16(t[at:]) {
		if len(entries) < 12 {
			break
		}
		const short = 3
		if order.Uint16(entries) == tag && order.Uint16(entries[2:]) == short && order.Uint32(entries[4:]) <= 2 {
			return int(order.Uint16(entries[8:])), true
		}
		entries = entries[12:]
	}
	return 0, false
}

// upright undoes the orientation o, as Pillow's exif_transpose.
func upright(p RGB, o int) RGB {
	if o == 1 {
		return p
	}
	w, h := p.W, p.H
	if o >= 5 {
		w, h = h, w
	}
	// Where the result's corner comes from, and the steps in the source for one
	// pixel to the right and one down, counted in pixels.
	var corner, right, down int
	switch o {
	case 2: // mirrored left to right
		corner, right, down = p.W-1, -1, p.W
	case 3: // upside down
		corner, right, down = p.W*p.H-1, -1, -p.W
	case 4: // mirrored top to bottom
		corner, right, down = p.W*(p.H-1), 1, -p.W
	case 5: // along the main diagonal
		corner, right, down = 0, p.W, 1
	case 6: // lies on its left side
		corner, right, down = p.W*(p.H-1), -p.W, 1
	case 7: // along the other diagonal
		corner, right, down = p.W*p.H-1, -p.W, -1
	case 8: // lies on its right side
		corner, right, down = p.W-1, p.W, -1
	}
	out := newRGB(w, h)
	bands(h, func(lo, hi int) {
		for y := lo; y < hi; y++ {
			at := corner + y*down
			row := out.row(y)
			for ; len(row) >= 3; row = row[3:] {
				copy(row[:3], p.Pix[at*3:])
				at += right
			}
		}
	})
	return out
}
