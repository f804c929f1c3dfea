package token

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// form is one of Unicode's normalization forms.
type form struct {
	form, decomposed norm.Form
}

var (
	formC  = form{norm.NFC, norm.NFD}
	formD  = form{norm.NFD, norm.NFD}
	formKC = form{norm.NFKC, norm.NFKD}
	formKD = form{norm.NFKD, norm.NFKD}
)

// breaker is what package norm puts into runs of more than 30 combining marks,
// to keep them short (Stream-Safe Text). No normalization form asks for that.
const breaker = "\u034f"

func (n form) normalize(f fragment, _ *limit) (fragment, error) {
	if n.form.IsNormalString(f.text) {
		return f, nil
	}
	if f.spans == nil {
		s := n.form.String(f.text)
		if len(s) > maxNormalized {
			return f, fmt.Errorf("normalizing makes the text longer than %d bytes", maxNormalized)
		}
		if strings.Count(s, breaker) == strings.Count(f.text, breaker) {
			f.text = s
			return f, nil
		}
	}
	e := edit(&f)
	for e.pos < len(f.text) && !e.full {
		rest := f.text[e.pos:]
		size := n.boundary(rest)
		if n.form.IsNormalString(rest[:size]) {
			e.keep(size)
		} else {
			n.segment(e, rest[:size])
		}
	}
	return e.result()
}

// boundary returns the length of the stretch at the front of text that
// normalizes by itself, however many marks it has.
func (n form) boundary(text string) int {
	size := 0
	for {
		next := n.form.NextBoundaryInString(text[size:], true)
		if next <= 0 {
			return len(text)
		}
		size += next
		if size == len(text) || n.form.PropertiesString(text[size:]).BoundaryBefore() {
			return size
		}
	}
}

// part is a rune of a decomposed segment. change is 0 for the first of the
// runes that a rune of the source becomes, and 1 for the others, which count as
// inserted.
type part struct {
	r      rune
	class  uint8 // canonical combining class
	change int
	used   bool
}

// segment rewrites a stretch of text that normalizes by itself. Which runes
// come from where follows the reference: it records for each rune of the result
// how many runes it adds (1) or takes away (below 0), composing sums that up, and
// the source is consumed accordingly.
func (n form) segment(e *editor, text string) {
	end := e.pos + len(text)
	var parts []part
	for _, r := range text {
		change := 0
		for _, d := range n.decomposed.String(string(r)) {
			parts = append(parts, part{r: d, class: combiningClass(d), change: change})
			change = 1
		}
	}
	reorder(parts)
	out := make([]rune, len(parts))
	for i, p := range parts {
		out[i] = p.r
	}
	if n.form != n.decomposed {
		out = compose(parts)
	}
	next := 0 // the parts before it are used
	for _, r := range out {
		change := 1
		for _, d := range n.decomposed.String(string(r)) {
			for i := next; i < len(parts); i++ {
				if !parts[i].used && parts[i].r == d {
					parts[i].used = true
					change += parts[i].change - 1
					break
				}
			}
		}
		for next < len(parts) && parts[next].used {
			next++
		}
		if change > 0 {
			e.insert(string(r))
		} else {
			e.replace(r, 1-change)
		}
	}
	e.pos = end
}

func combiningClass(r rune) uint8 { return norm.NFD.PropertiesString(string(r)).CCC() }

// reorder puts runs of combining marks into canonical order.
func reorder(parts []part) {
	for i := 0; i < len(parts); {
		end := i
		for end < len(parts) && parts[end].class != 0 {
			end++
		}
		slices.SortStableFunc(parts[i:end], func(a, b part) int { return int(a.class) - int(b.class) })
		i = end + 1
	}
}

// compose is the canonical composition of decomposed runes in canonical order.
func compose(parts []part) []rune {
	out := make([]rune, 0, len(parts))
	starter := -1 // where the last rune of class 0 stands in out
	last := uint8(0)
	for _, p := range parts {
		// A mark reaches the starter unless one of its own class or higher
		// stands between them.
		if starter >= 0 && (last == 0 || last < p.class) {
			if r, ok := composePair(out[starter], p.r); ok {
				out[starter] = r
				continue
			}
		}
		if p.class == 0 {
			starter = len(out)
		}
		last = p.class
		out = append(out, p.r)
	}
	return out
}

// composePair returns the rune that two runes compose to.
func composePair(a, b rune) (rune, bool) {
	s := norm.NFC.String(string([]rune{a, b}))
	r, size := utf8.DecodeRuneInString(s)
	return r, size == len(s)
}
