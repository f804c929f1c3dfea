package token

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// runeRange is the runes from lo to hi.
type runeRange struct{ lo, hi rune }

// ranges is a set of runes. Its ranges may overlap and come in any order until
// sorted has been called.
type ranges []runeRange

// maxRanges bounds a set while a pattern is read.
const maxRanges = 1 << 17

var errLargeSet = errors.New("a class has too many members")

// sorted puts the ranges in order and joins those that touch.
func (rs ranges) sorted() ranges {
	rs = slices.Clone(rs)
	slices.SortFunc(rs, func(a, b runeRange) int { return cmp.Compare(a.lo, b.lo) })
	out := rs[:0]
	for _, r := range rs {
		if n := len(out); n > 0 && r.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, r.hi)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// complement returns all runes that are not in the set.
func (rs ranges) complement() ranges {
	var out ranges
	next := rune(0)
	for _, r := range rs.sorted() {
		if next < r.lo {
			out = append(out, runeRange{next, r.lo - 1})
		}
		next = r.hi + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, runeRange{next, unicode.MaxRune})
	}
	return out
}

func (rs ranges) intersect(others ranges) ranges {
	return append(rs.complement(), others.complement()...).complement()
}

// contains says whether r is in the set, which must be sorted.
func (rs ranges) contains(r rune) bool {
	_, found := slices.BinarySearchFunc(rs, r, func(x runeRange, r rune) int {
		switch {
		case x.hi < r:
			return -1
		case x.lo > r:
			return 1
		}
		return 0
	})
	return found
}

// tableRanges returns the runes of Unicode tables.
func tableRanges(tables ...*unicode.RangeTable) ranges {
	var out ranges
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			out = append(out, runeRange{lo, hi})
			return
		}
		for r := lo; r <= hi; r += stride {
			out = append(out, runeRange{r, r})
		}
	}
	for _, t := range tables {
		for _, r := range t.R16 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
		for _, r := range t.R32 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
	}
	return out
}

// orbits are the sets of runes that differ by case alone, by each of their
// members: s, S and ſ; σ, ς and Σ.
var orbits = sync.OnceValue(func() map[rune][]rune {
	out := map[rune][]rune{}
	for _, c := range unicode.CaseRanges {
		for r := rune(c.Lo); r <= rune(c.Hi); r++ {
			orbit := []rune{r}
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				orbit = append(orbit, f)
			}
			for _, member := range orbit {
				if len(orbit) > 1 {
					out[member] = orbit
				}
			}
		}
	}
	return out
})

// folded returns what the set lacks of the orbits of its members.
func (rs ranges) folded() ranges {
	rs = rs.sorted()
	var out ranges
	for r, orbit := range orbits() {
		if !rs.contains(r) {
			continue
		}
		for _, other := range orbit {
			if !rs.contains(other) {
				out = append(out, runeRange{other, other})
			}
		}
	}
	return out.sorted()
}

// property is a set of runes that patterns have a name for.
type property struct {
	members string // how it is written inside a class of regexp2
	set     ranges
}

// tablesOf returns the union of tables that package unicode has under the
// names, and of single ranges.
func tablesOf(extra ranges, names ...string) property {
	p := property{set: extra}
	for _, r := range extra {
		p.members += writeRange(r)
	}
	for _, name := range names {
		p.members += `\p{` + name + `}`
		p.set = append(p.set, tableRanges(unicodeTable(name))...)
	}
	return p
}

func unicodeTable(name string) *unicode.RangeTable {
	for _, m := range []map[string]*unicode.RangeTable{unicode.Categories, unicode.Scripts, unicode.Properties} {
		if t, ok := m[name]; ok {
			return t
		}
	}
	return nil
}

// properties are the names, without their spelling's blanks and case, of
// \p{...} and of [:...:] where the latter has them.
var properties = sync.OnceValue(func() map[string]property {
	out := map[string]property{}
	for _, m := range []map[string]*unicode.RangeTable{unicode.Properties, unicode.Scripts, unicode.Categories} {
		for name := range m {
			out[propertyKey(name)] = tablesOf(nil, name)
		}
	}
	for alias, name := range unicode.CategoryAliases {
		out[propertyKey(alias)] = tablesOf(nil, name)
	}
	for name, p := range brackets() {
		if name != "punct" { // as \p{...} it has no symbols
			out[name] = p
		}
	}
	out["any"] = tablesOf(ranges{{0, unicode.MaxRune}})
	out["alphabetic"] = out["alpha"]
	out["lowercase"] = out["lower"]
	out["uppercase"] = out["upper"]
	return out
})

func propertyKey(name string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "_", "", "-", "").Replace(name))
}

// brackets are the classes [:name:].
var brackets = sync.OnceValue(func() map[string]property {
	hidden := tableRanges(unicode.Cc, unicode.Cs, unicodeTable("Cn"))
	alpha := []string{"L", "Nl", "Other_Alphabetic"}
	return map[string]property{
		"alnum":  tablesOf(nil, append(alpha, "Nd")...),
		"alpha":  tablesOf(nil, alpha...),
		"ascii":  tablesOf(ranges{{0, 0x7f}}),
		"blank":  tablesOf(ranges{{'\t', '\t'}}, "Zs"),
		"cntrl":  tablesOf(nil, "Cc"),
		"digit":  tablesOf(nil, "Nd"),
		"graph":  tablesOf(append(hidden, tableRanges(unicode.White_Space)...).complement()),
		"lower":  tablesOf(nil, "Ll", "Other_Lowercase"),
		"print":  tablesOf(append(hidden, tableRanges(unicode.Zl, unicode.Zp)...).complement()),
		"punct":  tablesOf(nil, "P", "S"),
		"space":  tablesOf(nil, "White_Space"),
		"upper":  tablesOf(nil, "Lu", "Other_Uppercase"),
		"word":   wordProperty(),
		"xdigit": hexDigits,
	}
})

// wordProperty is what \w means in a class; regexp2 takes it for less.
func wordProperty() property {
	return tablesOf(nil, "L", "M", "Nd", "Nl", "Pc", "Other_Alphabetic")
}

var hexDigits = tablesOf(ranges{{'0', '9'}, {'A', 'F'}, {'a', 'f'}})

// latinNumbers are not letters of words in a class, and are outside of one.
// Oniguruma has a table of its own for the first 256 runes.
const latinNumbers = "²³¹¼½¾"

// writeRange writes a range as part of a class of regexp2.
func writeRange(r runeRange) string {
	var out strings.Builder
	one := func(r rune) {
		if r < utf8.RuneSelf && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			const hex = "0123456789abcdef"
			out.WriteString(`\x`)
			out.WriteByte(hex[r>>4])
			out.WriteByte(hex[r&15])
			return
		}
		out.WriteRune(r)
	}
	// Surrogates stand in no text.
	if r.lo >= 0xd800 && r.lo <= 0xdfff {
		r.lo = 0xe000
	}
	if r.hi >= 0xd800 && r.hi <= 0xdfff {
		r.hi = 0xd7ff
	}
	if r.lo > r.hi {
		return ""
	}
	one(r.lo)
	if r.lo < r.hi {
		out.WriteByte('-')
		one(r.hi)
	}
	return out.String()
}
