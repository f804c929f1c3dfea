package token

import (
	"strings"
	"unicode/utf8"
)

// Byte-level vocabularies spell each of the 256 bytes as one printable rune:
// printable Latin-1 bytes as themselves, the others as U+0100 and up, in order
// (GPT-2, bytes_to_unicode).
var byteRunes, runeBytes = alphabet()

// alphabet returns the rune of each byte, and the way back, in which -1 marks
// a rune that stands for no byte.
func alphabet() (runes [256]rune, bytes [0x144]int16) {
	for i := range bytes {
		bytes[i] = -1
	}
	next := rune(0x100)
	for b := range runes {
		r := rune(b)
		printable := b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae
		if !printable {
			r = next
			next++
		}
		runes[b] = r
		bytes[r] = int16(b)
	}
	return runes, bytes
}

// spelledSpace is how a byte-level vocabulary writes a space.
const spelledSpace = 'Ġ'

// unspellBytes appends the bytes that a piece spells. A piece with a rune that
// is not in the alphabet stands for itself.
func unspellBytes(dst []byte, piece string) []byte {
	start := len(dst)
	for _, r := range piece {
		if int(r) >= len(runeBytes) || runeBytes[r] < 0 {
			return append(dst[:start], piece...)
		}
		dst = append(dst, byte(runeBytes[r]))
	}
	return dst
}

// validText returns b as a string in which each ill-formed sequence is one
// U+FFFD. A sequence is ill-formed up to where it stops being the beginning of
// a rune (the "maximal subpart" of the Unicode standard), so a broken rune of
// three bytes gives one U+FFFD, not three.
func validText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			size = subpart(b)
		}
		out.WriteRune(r)
		b = b[size:]
	}
	return out.String()
}

// subpart returns the length of the ill-formed sequence at the front of b.
func subpart(b []byte) int {
	n := 1
	for n < len(b) && n < utf8.UTFMax && incompleteRune(b[:n+1]) {
		n++
	}
	return n
}

// incompleteRune says whether b could become a rune with more bytes.
func incompleteRune(b []byte) bool {
	if len(b) == 0 || len(b) >= utf8.UTFMax {
		return false
	}
	// FullRune is also true of bytes that can never become a rune.
	return !utf8.FullRune(b)
}
