package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

const (
	// Integers end where floats do: no template needs more, and computing
	// with longer ones takes more time than a step should.
	maxIntDigits = 308
	maxIntBits   = 1024
)

// shrink returns an integer in the form that value requires.
func shrink(i *big.Int) value {
	if i.IsInt64() {
		return i.Int64()
	}
	return i
}

// integer returns the integer in v; bools count as 0 and 1, as in Python.
func integer(v value) (*big.Int, bool) {
	switch x := v.(type) {
	case bool:
		if x {
			return big.NewInt(1), true
		}
		return new(big.Int), true
	case int64:
		return big.NewInt(x), true
	case *big.Int:
		return x, true
	}
	return nil, false
}

// smallInt returns an int64 in v, if v is one (or a bool).
func smallInt(v value) (int64, bool) {
	switch x := v.(type) {
	case int64:
		return x, true
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// float returns the number in v as a float.
func float(v value) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case int64:
		return float64(x), true
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	case *big.Int:
		f, _ := new(big.Float).SetInt(x).Float64()
		return f, true
	}
	return 0, false
}

func isNumber(v value) bool { _, ok := float(v); return ok }

// arith applies a binary operator to two numbers.
func (r *renderer) arith(op string, a, b value) value {
	_, af := a.(float64)
	_, bf := b.(float64)
	if af || bf || op == "/" {
		x, _ := float(a)
		y, _ := float(b)
		return r.floatArith(op, x, y)
	}
	if x, ok := smallInt(a); ok {
		if y, ok := smallInt(b); ok {
			switch op {
			case "+":
				if s := x + y; (s > x) == (y > 0) {
					return s
				}
			case "-":
				if s := x - y; (s < x) == (y > 0) {
					return s
				}
			}
		}
	}
	x, _ := integer(a)
	y, _ := integer(b)
	z := new(big.Int)
	switch op {
	case "+":
		z.Add(x, y)
	case "-":
		z.Sub(x, y)
	case "*":
		z.Mul(x, y)
	case "//", "%":
		if y.Sign() == 0 {
			panic(r.errorf("integer division or modulo by zero"))
		}
		m := new(big.Int)
		z.DivMod(x, y, m) // Euclidean; Python floors
		if m.Sign() != 0 && y.Sign() < 0 {
			z.Sub(z, big.NewInt(1))
			m.Add(m, y)
		}
		if op == "%" {
			z = m
		}
	case "**":
		return r.power(x, y)
	}
	return r.bigInt(z)
}

func (r *renderer) bigInt(z *big.Int) value {
	if z.BitLen() > maxIntBits {
		panic(r.limitf("the template computes an integer of more than %d digits", maxIntDigits))
	}
	r.work(z.BitLen() / 64)
	return shrink(z)
}

func (r *renderer) power(x, y *big.Int) value {
	if y.Sign() < 0 {
		fx, _ := new(big.Float).SetInt(x).Float64()
		fy, _ := new(big.Float).SetInt(y).Float64()
		return r.floatArith("**", fx, fy)
	}
	if x.BitLen() > 1 && (!y.IsInt64() || y.Int64() > maxIntBits || int64(x.BitLen()-1)*y.Int64() > maxIntBits) {
		panic(r.limitf("the template computes an integer of more than %d digits", maxIntDigits))
	}
	if x.BitLen() <= 1 { // 0, 1, -1: only the parity of a huge exponent matters
		if y.BitLen() > 1 {
			y = big.NewInt(2 + int64(y.Bit(0)))
		}
	}
	return r.bigInt(new(big.Int).Exp(x, y, nil))
}

func (r *renderer) floatArith(op string, x, y float64) value {
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "/", "//", "%":
		if y == 0 {
			if op == "%" {
				panic(r.errorf("float modulo by zero"))
			}
			panic(r.errorf("division by zero"))
		}
		if op == "/" {
			return x / y
		}
		m := math.Mod(x, y)
		if m != 0 && (m < 0) != (y < 0) {
			m += y
		}
		if op == "%" {
			if m == 0 {
				m = math.Copysign(0, y)
			}
			return m
		}
		q := math.Floor((x - m) / y)
		if (x-m)/y-q > 0.5 {
			q++
		}
		return q
	default: // **
		if x == 0 && y < 0 {
			panic(r.errorf("0.0 cannot be raised to a negative power"))
		}
		if x < 0 && y != math.Trunc(y) {
			panic(r.errorf("a negative number cannot be raised to a fraction"))
		}
		z := math.Pow(x, y)
		if math.IsInf(z, 0) && !math.IsInf(x, 0) && !math.IsInf(y, 0) {
			panic(r.errorf("numerical result out of range"))
		}
		return z
	}
}

// compareNumbers returns -1, 0 or 1, exactly; ok is false with a NaN.
func compareNumbers(a, b value) (c int, ok bool) {
	if x, isSmall := smallInt(a); isSmall {
		if y, isSmall := smallInt(b); isSmall {
			switch {
			case x < y:
				return -1, true
			case x > y:
				return 1, true
			}
			return 0, true
		}
	}
	x, y := bigFloat(a), bigFloat(b)
	if x == nil || y == nil {
		return 0, false
	}
	return x.Cmp(y), true
}

func bigFloat(v value) *big.Float {
	if f, ok := v.(float64); ok {
		if math.IsNaN(f) {
			return nil
		}
		return new(big.Float).SetFloat64(f)
	}
	i, _ := integer(v)
	return new(big.Float).SetPrec(uint(max(64, i.BitLen()))).SetInt(i)
}

// formatFloat is Python's repr of a float: the shortest digits that read back,
// with an exponent below 1e-4 and from 1e16 on.
func formatFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// parseInt is Python's int(text, base).
func parseInt(s string, base int) (value, bool) {
	s = strings.TrimFunc(s, isSpace)
	if len(s) > maxIntDigits || s == "" {
		return nil, false
	}
	digits, neg := s, false
	if digits[0] == '+' || digits[0] == '-' {
		neg = digits[0] == '-'
		digits = digits[1:]
	}
	if len(digits) > 2 && digits[0] == '0' {
		prefixes := map[byte]int{'b': 2, 'o': 8, 'x': 16}
		if b, ok := prefixes[digits[1]|0x20]; ok && (base == b || base == 0) {
			digits, base = digits[2:], b
			digits = strings.TrimPrefix(digits, "_")
		}
	}
	if base == 0 {
		if strings.Trim(digits, "0_") != "" && strings.HasPrefix(digits, "0") {
			return nil, false
		}
		base = 10
	}
	if base < 2 || base > 36 || digits == "" || digits[0] == '_' || digits[len(digits)-1] == '_' || strings.Contains(digits, "__") {
		return nil, false
	}
	if digits[0] == '+' || digits[0] == '-' {
		return nil, false
	}
	i, ok := new(big.Int).SetString(strings.ReplaceAll(digits, "_", ""), base)
	if !ok {
		return nil, false
	}
	if neg {
		i.Neg(i)
	}
	return shrink(i), true
}

// parseFloat is Python's float(text).
func parseFloat(s string) (float64, bool) {
	s = strings.TrimFunc(s, isSpace)
	switch strings.ToLower(strings.TrimLeft(s, "+-")) {
	case "inf", "infinity", "nan":
	default:
		// Go reads hexadecimal floats and misplaced underscores, Python does not.
		if strings.ContainsAny(s, "xXpP") || strings.HasPrefix(s, "_") || strings.HasSuffix(s, "_") ||
			strings.Contains(s, "__") || strings.ContainsAny(s, "iInN") {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// truncate converts a float to an integer towards zero, as int() does.
func (r *renderer) truncate(f float64) value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		panic(r.errorf("cannot convert float %s to integer", formatFloat(f)))
	}
	i, _ := new(big.Float).SetFloat64(f).Int(nil)
	return shrink(i)
}
