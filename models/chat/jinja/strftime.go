package jinja

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// strftime formats a time as C's strftime does in the C locale. The flags -
// (no padding), _ (spaces), 0, ^ (upper case) are those of glibc.
func strftime(t time.Time, format string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		var flag byte
		for i < len(format) && strings.IndexByte("-_0^", format[i]) >= 0 {
			flag = format[i]
			i++
		}
		if i == len(format) {
			return "", fmt.Errorf("strftime: the format ends inside a directive")
		}
		s, err := directive(t, format[i], flag)
		if err != nil {
			return "", err
		}
		if flag == '^' {
			s = strings.ToUpper(s)
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func directive(t time.Time, c, flag byte) (string, error) {
	number := func(n, width int, pad byte) string {
		switch flag {
		case '-':
			width = 0
		case '_':
			pad = ' '
		case '0':
			pad = '0'
		}
		s := strconv.Itoa(n)
		return strings.Repeat(string(pad), max(0, width-len(s))) + s
	}
	sub := func(format string) (string, error) { return strftime(t, format) }
	switch c {
	case 'a':
		return t.Format("Mon"), nil
	case 'A':
		return t.Format("Monday"), nil
	case 'b', 'h':
		return t.Format("Jan"), nil
	case 'B':
		return t.Format("January"), nil
	case 'c':
		return sub("%a %b %e %H:%M:%S %Y")
	case 'C':
		return number(t.Year()/100, 2, '0'), nil
	case 'd':
		return number(t.Day(), 2, '0'), nil
	case 'D', 'x':
		return sub("%m/%d/%y")
	case 'e':
		return number(t.Day(), 2, ' '), nil
	case 'f':
		return fmt.Sprintf("%06d", t.Nanosecond()/1000), nil
	case 'F':
		return sub("%Y-%m-%d")
	case 'g':
		year, _ := t.ISOWeek()
		return number(year%100, 2, '0'), nil
	case 'G':
		year, _ := t.ISOWeek()
		return number(year, 4, '0'), nil
	case 'H':
		return number(t.Hour(), 2, '0'), nil
	case 'I':
		return number((t.Hour()+11)%12+1, 2, '0'), nil
	case 'j':
		return number(t.YearDay(), 3, '0'), nil
	case 'k':
		return number(t.Hour(), 2, ' '), nil
	case 'l':
		return number((t.Hour()+11)%12+1, 2, ' '), nil
	case 'm':
		return number(int(t.Month()), 2, '0'), nil
	case 'M':
		return number(t.Minute(), 2, '0'), nil
	case 'n':
		return "\n", nil
	case 'p':
		return t.Format("PM"), nil
	case 'P':
		return strings.ToLower(t.Format("PM")), nil
	case 'r':
		return sub("%I:%M:%S %p")
	case 'R':
		return sub("%H:%M")
	case 's':
		return strconv.FormatInt(t.Unix(), 10), nil
	case 'S':
		return number(t.Second(), 2, '0'), nil
	case 't':
		return "\t", nil
	case 'T', 'X':
		return sub("%H:%M:%S")
	case 'u':
		return number((int(t.Weekday())+6)%7+1, 1, '0'), nil
	case 'U':
		return number((t.YearDay()+6-int(t.Weekday()))/7, 2, '0'), nil
	case 'V':
		_, week := t.ISOWeek()
		return number(week, 2, '0'), nil
	case 'w':
		return number(int(t.Weekday()), 1, '0'), nil
	case 'W':
		return number((t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2, '0'), nil
	case 'y':
		return number(t.Year()%100, 2, '0'), nil
	case 'Y':
		return number(t.Year(), 1, '0'), nil
	case 'z', 'Z':
		// strftime_now works on a naive time: it has no zone.
		return "", nil
	case '%':
		return "%", nil
	}
	return "", fmt.Errorf("strftime: the directive %%%c is not known", c)
}
