package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// spec is how one value is to be formatted, by % or by str.format.
type spec struct {
	fill       string
	align      byte // < > = ^ or 0
	sign       byte // + - space or 0
	alt        bool
	group      byte // , _ or 0
	width      int
	precision  int // -1: none
	conversion byte
}

// percent is Python's string % value.
func (r *renderer) percent(format string, arg value, safe bool) string {
	args := []value{arg}
	if t, ok := arg.(*tuple); ok {
		args = t.items
	}
	mapping, _ := arg.(*dict)
	used := 0
	next := func() value {
		if used >= len(args) {
			panic(r.errorf("not enough arguments for format string"))
		}
		used++
		return args[used-1]
	}
	b := &builder{r: r}
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			b.add(format)
			break
		}
		b.add(format[:i])
		format = format[i+1:]
		var key value
		if strings.HasPrefix(format, "(") {
			end, depth := 0, 0
			for end = range len(format) {
				if format[end] == '(' {
					depth++
				} else if format[end] == ')' {
					if depth--; depth == 0 {
						break
					}
				}
			}
			if depth != 0 {
				panic(r.errorf("incomplete format key"))
			}
			if mapping == nil {
				panic(r.errorf("format requires a mapping"))
			}
			name := format[1:end]
			v, ok := mapping.get(name)
			if !ok {
				panic(r.errorf("format key %s is not in the mapping", r.repr(name)))
			}
			key, format = v, format[end+1:]
		}
		f := spec{fill: " ", align: '>', precision: -1}
		zero := false
		for format != "" && strings.IndexByte("-+ #0", format[0]) >= 0 {
			switch c := format[0]; c {
			case '-':
				f.align = '<'
			case '+':
				f.sign = '+'
			case ' ':
				if f.sign == 0 {
					f.sign = ' '
				}
			case '#':
				f.alt = true
			case '0':
				zero = true
			}
			format = format[1:]
		}
		number := func() int {
			if strings.HasPrefix(format, "*") {
				format = format[1:]
				return r.intArg("format", "width", next())
			}
			n := 0
			for format != "" && format[0] >= '0' && format[0] <= '9' {
				n = min(n*10+int(format[0]-'0'), math.MaxInt32)
				format = format[1:]
			}
			return n
		}
		if f.width = number(); f.width < 0 {
			f.align, f.width = '<', -f.width
		}
		if strings.HasPrefix(format, ".") {
			format = format[1:]
			f.precision = max(number(), 0)
		}
		format = strings.TrimLeft(format, "hlL")
		if format == "" {
			panic(r.errorf("incomplete format"))
		}
		f.conversion = format[0]
		if f.conversion == '%' {
			format = format[1:]
			b.add("%")
			continue
		}
		v := key
		if v == nil {
			v = next()
		}
		conversion, size := utf8.DecodeRuneInString(format)
		format = format[size:]
		switch f.conversion {
		case 's', 'r', 'a':
			s := r.toString(v)
			if f.conversion != 's' {
				s = r.repr(v)
			}
			if safe {
				s = r.escapeUnlessSafe(v)
			}
			b.add(r.formatText(s, f))
			continue
		case 'c':
			s, ok := text(v)
			if n, isInt := smallInt(v); isInt && n >= 0 && n <= utf8.MaxRune {
				s, ok = string(rune(n)), true
			}
			if !ok || utf8.RuneCountInString(s) != 1 {
				panic(r.errorf("%%c requires int or char"))
			}
			b.add(r.formatText(s, f))
			continue
		case 'd', 'i', 'u', 'x', 'X', 'o', 'e', 'E', 'f', 'F', 'g', 'G':
		default:
			panic(r.errorf("unsupported format character %q", conversion))
		}
		r.defined(v)
		if !isNumber(v) {
			panic(r.errorf("%%%c format: a number is required, not %s", f.conversion, typeName(v)))
		}
		if zero && f.align == '>' {
			f.fill, f.align = "0", '='
		}
		if strings.IndexByte("iu", f.conversion) >= 0 {
			f.conversion = 'd'
		}
		if fl, isFloat := v.(float64); isFloat && strings.IndexByte("dxXo", f.conversion) >= 0 {
			if f.conversion != 'd' {
				panic(r.errorf("%%%c format: an integer is required, not float", f.conversion))
			}
			v = r.truncate(fl)
		}
		if n := f.precision; n >= 0 && strings.IndexByte("dxXo", f.conversion) >= 0 {
			// For integers the precision is a minimal number of digits.
			r.alloc(n)
			f.precision = -1
			sign, digits := r.intDigits(v, f)
			b.add(r.padNumber(sign, strings.Repeat("0", max(0, n-len(digits)))+digits, f))
			continue
		}
		b.add(r.formatNumber(v, f))
	}
	switch arg.(type) {
	case *dict, *list, *span, *undefined: // Python takes these for mappings, which may have more
	default:
		if used < len(args) {
			panic(r.errorf("not all arguments converted during string formatting"))
		}
	}
	return b.done()
}

// formatText truncates and pads a string.
func (r *renderer) formatText(s string, f spec) string {
	if f.precision >= 0 {
		s = s[:byteOffset(s, min(f.precision, len(s)))]
	}
	room := max(0, f.width-utf8.RuneCountInString(s))
	switch f.align {
	case '>':
		return r.pad(s, f.fill, room, 0)
	case '^':
		return r.pad(s, f.fill, room/2, room-room/2)
	}
	return r.pad(s, f.fill, 0, room)
}

// padNumber joins sign and digits and pads them; '=' pads between the two.
func (r *renderer) padNumber(sign, digits string, f spec) string {
	if f.align == '=' {
		room := max(0, f.width-len(sign)-utf8.RuneCountInString(digits))
		return sign + r.pad(digits, f.fill, room, 0)
	}
	if f.align == 0 {
		f.align = '>'
	}
	f.precision = -1
	return r.formatText(sign+digits, f)
}

func signOf(negative bool, f spec) string {
	switch {
	case negative:
		return "-"
	case f.sign == '+':
		return "+"
	case f.sign == ' ':
		return " "
	}
	return ""
}

// intDigits formats an integer's magnitude in the base of the conversion.
func (r *renderer) intDigits(v value, f spec) (sign, digits string) {
	i, _ := integer(v)
	sign = signOf(i.Sign() < 0, f)
	base, prefix := 10, ""
	switch f.conversion {
	case 'x', 'X':
		base, prefix = 16, "0x"
	case 'o':
		base, prefix = 8, "0o"
	case 'b':
		base, prefix = 2, "0b"
	}
	digits = new(big.Int).Abs(i).Text(base)
	if f.conversion == 'X' {
		digits, prefix = strings.ToUpper(digits), "0X"
	}
	if f.alt {
		sign += prefix
	}
	return sign, digits
}

// formatNumber formats an integer or float by its conversion.
func (r *renderer) formatNumber(v value, f spec) string {
	if strings.IndexByte("dxXob", f.conversion) >= 0 {
		sign, digits := r.intDigits(v, f)
		return r.padNumber(sign, r.grouped(digits, f), f)
	}
	x, _ := float(v)
	sign := signOf(math.Signbit(x) && !math.IsNaN(x), f)
	x = math.Abs(x)
	prec := f.precision
	if prec < 0 {
		prec = 6
	}
	// A float has at most 1074 fractional digits; more would be zeros.
	const most = 1100
	if prec > most {
		panic(r.limitf("the precision %d of a format exceeds %d", prec, most))
	}
	var digits string
	switch c := f.conversion | 0x20; {
	case math.IsInf(x, 0):
		digits = "inf"
	case math.IsNaN(x):
		digits = "nan"
	case f.conversion == '%':
		digits = strconv.FormatFloat(x*100, 'f', prec, 64) + "%"
	case c == 'g' || c == 'n':
		digits = general(x, max(prec, 1), f.alt)
	case f.conversion == 0: // str.format without a type
		if f.precision < 0 {
			digits = formatFloat(x)
		} else {
			digits = general(x, max(prec, 1), f.alt)
			if !strings.ContainsAny(digits, ".e") {
				digits += ".0"
			}
		}
	default:
		digits = strconv.FormatFloat(x, c, prec, 64)
		if f.alt && prec == 0 && c == 'f' {
			digits += "."
		}
	}
	if f.conversion == 'E' || f.conversion == 'F' || f.conversion == 'G' {
		digits = strings.ToUpper(digits)
	}
	return r.padNumber(sign, r.grouped(digits, f), f)
}

// general is C's %g.
func general(x float64, prec int, alt bool) string {
	e := strconv.FormatFloat(x, 'e', prec-1, 64)
	exp, _ := strconv.Atoi(e[strings.IndexByte(e, 'e')+1:])
	if exp < -4 || exp >= prec {
		mant, tail, _ := strings.Cut(e, "e")
		if !alt && strings.Contains(mant, ".") {
			mant = strings.TrimRight(strings.TrimRight(mant, "0"), ".")
		}
		return mant + "e" + tail
	}
	s := strconv.FormatFloat(x, 'f', prec-1-exp, 64)
	if !alt && strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// grouped inserts thousands separators into the integer part.
func (r *renderer) grouped(digits string, f spec) string {
	if f.group == 0 {
		return digits
	}
	n := 3
	if strings.IndexByte("xXob", f.conversion) >= 0 && f.conversion != 0 {
		n = 4
	}
	end := strings.IndexAny(digits, ".e%")
	if end < 0 || n == 4 {
		end = len(digits)
	}
	var b strings.Builder
	for i := range end {
		if i > 0 && (end-i)%n == 0 {
			b.WriteByte(f.group)
		}
		b.WriteByte(digits[i])
	}
	b.WriteString(digits[end:])
	return b.String()
}

// format is Python's str.format.
func (r *renderer) format(s string, a callArgs) string {
	b := &builder{r: r}
	auto := 0
	r.formatInto(b, s, a, &auto, 2)
	return b.done()
}

// formatInto expands replacement fields; nesting is how deep format
// specifications may themselves contain fields.
func (r *renderer) formatInto(b *builder, s string, a callArgs, auto *int, nesting int) {
	if nesting == 0 {
		panic(r.errorf("max string recursion exceeded in a format string"))
	}
	for {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			b.add(s)
			return
		}
		b.add(s[:i])
		if i+1 < len(s) && s[i+1] == s[i] {
			b.add(s[i : i+1])
			s = s[i+2:]
			continue
		}
		if s[i] == '}' {
			panic(r.errorf("single '}' encountered in format string"))
		}
		s = s[i+1:]
		end, depth := -1, 1
		for j := range len(s) {
			if s[j] == '{' {
				depth++
			} else if s[j] == '}' {
				if depth--; depth == 0 {
					end = j
					break
				}
			}
		}
		if end < 0 {
			panic(r.errorf("expected '}' before end of string in a format string"))
		}
		r.field(b, s[:end], a, auto, nesting)
		s = s[end+1:]
	}
}

// field formats one replacement field: name!conversion:specification.
func (r *renderer) field(b *builder, s string, a callArgs, auto *int, nesting int) {
	name, rest := s, ""
	inBrackets := false
scan:
	for i := range len(s) {
		switch s[i] {
		case '[':
			inBrackets = true
		case ']':
			inBrackets = false
		case '!', ':':
			if !inBrackets {
				name, rest = s[:i], s[i:]
				break scan
			}
		}
	}
	v := r.fieldValue(name, a, auto)
	if strings.HasPrefix(rest, "!") {
		if len(rest) < 2 || len(rest) > 2 && rest[2] != ':' {
			panic(r.errorf("malformed conversion in a format string"))
		}
		switch rest[1] {
		case 's':
			v = r.toString(v)
		case 'r', 'a':
			v = r.repr(v)
		default:
			panic(r.errorf("unknown conversion specifier %q", rest[1]))
		}
		rest = rest[2:]
	}
	text := strings.TrimPrefix(rest, ":")
	if strings.ContainsAny(text, "{}") {
		inner := &builder{r: r}
		r.formatInto(inner, text, a, auto, nesting-1)
		text = inner.done()
	}
	b.add(r.formatValue(v, text))
}

// fieldValue resolves a field's name: 0, name, name.attribute, name[key].
func (r *renderer) fieldValue(name string, a callArgs, auto *int) value {
	end := strings.IndexAny(name, ".[")
	if end < 0 {
		end = len(name)
	}
	first, path := name[:end], name[end:]
	var v value
	n, err := strconv.Atoi(first)
	switch {
	case first == "":
		n, err = *auto, nil
		*auto++
		fallthrough
	case err == nil:
		if n < 0 || n >= len(a.pos) {
			panic(r.errorf("replacement index %d out of range for positional arguments", n))
		}
		v = a.pos[n]
	default:
		for i, k := range a.names {
			if k == first {
				v = a.kw[i]
			}
		}
		if v == nil {
			panic(r.errorf("format: no argument %s", r.repr(first)))
		}
	}
	for path != "" {
		r.work(1)
		if path[0] == '[' {
			end := strings.IndexByte(path, ']')
			if end < 2 {
				panic(r.errorf("malformed field name in a format string"))
			}
			var key value = path[1:end]
			if i, err := strconv.ParseInt(path[1:end], 10, 64); err == nil {
				key = i
			}
			v, path = r.item(v, key), path[end+1:]
			continue
		}
		if path[0] != '.' {
			panic(r.errorf("only '.' or '[' may follow ']' in a format field"))
		}
		end := strings.IndexAny(path[1:], ".[")
		if end < 0 {
			end = len(path) - 1
		}
		v, path = r.attr(v, path[1:end+1]), path[end+1:]
	}
	return v
}

// formatValue is Python's format(value, specification).
func (r *renderer) formatValue(v value, s string) string {
	if s == "" {
		return r.toString(v)
	}
	f := spec{fill: " ", precision: -1}
	rest := s
	if _, n := utf8.DecodeRuneInString(rest); len(rest) > n && strings.IndexByte("<>=^", rest[n]) >= 0 {
		f.fill, f.align, rest = rest[:n], rest[n], rest[n+1:]
	} else if strings.IndexByte("<>=^", rest[0]) >= 0 {
		f.align, rest = rest[0], rest[1:]
	}
	take := func(chars string) byte {
		if rest != "" && strings.IndexByte(chars, rest[0]) >= 0 {
			c := rest[0]
			rest = rest[1:]
			return c
		}
		return 0
	}
	number := func() (n int, ok bool) {
		for rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			n, ok = min(n*10+int(rest[0]-'0'), math.MaxInt32), true
			rest = rest[1:]
		}
		return n, ok
	}
	f.sign = take("+- ")
	f.alt = take("#") != 0
	if take("0") != 0 && f.align == 0 {
		f.fill, f.align = "0", '='
	}
	f.width, _ = number()
	f.group = take(",_")
	if take(".") != 0 {
		n, ok := number()
		if !ok {
			panic(r.errorf("format specifier missing precision"))
		}
		f.precision = n
	}
	f.conversion = take("bcdeEfFgGnosxX%")
	if rest != "" {
		panic(r.errorf("invalid format specifier %s", r.repr(s)))
	}
	wrong := func() *Error {
		return r.errorf("unknown format code '%c' for object of type '%s'", f.conversion, typeName(v))
	}
	switch {
	case isNumber(v):
		_, isFloat := v.(float64)
		switch c := f.conversion; {
		case c == 'c':
			if n, ok := smallInt(v); ok && n >= 0 && n <= utf8.MaxRune {
				return r.formatText(string(rune(n)), f)
			}
			panic(wrong())
		case c == 's', isFloat && c != 0 && strings.IndexByte("bdoxX", c) >= 0:
			panic(wrong())
		case !isFloat && (c == 0 || c == 'n'):
			f.conversion = 'd'
		}
		return r.formatNumber(v, f)
	default:
		t, ok := text(v)
		if !ok {
			r.defined(v)
			panic(r.errorf("unsupported format string passed to %s.__format__", typeName(v)))
		}
		if f.conversion != 0 && f.conversion != 's' || f.align == '=' && f.fill != "0" || f.sign != 0 || f.group != 0 {
			panic(wrong())
		}
		if f.align == '=' {
			f.align = '<'
		}
		return r.formatText(t, f)
	}
}
