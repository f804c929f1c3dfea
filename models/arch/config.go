package arch

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
)

// config reads a config.json: typed fields with defaults and bounds. The
// first error sticks and names file and field, so that readers go without
// checks and ask err at the end.
type config struct {
	file string
	path string
	m    map[string]any
	err  *error
}

// maxConfig bounds a config file: decoding takes up to thirty times its size.
// Published ones stay below 100 kB.
const maxConfig = 4 << 20

func parseConfig(file string, data []byte) (config, error) {
	if len(data) > maxConfig {
		return config{}, fmt.Errorf("arch: %s: %d bytes; a config has at most %d: it is not one", file, len(data), maxConfig)
	}
	var m map[string]any
	err := json.Unmarshal(data, &m)
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && te.Type.Kind() == reflect.Map {
		return config{}, fmt.Errorf("arch: %s: not a JSON object but %s; fetch the file again", file, te.Value)
	}
	if err != nil {
		return config{}, fmt.Errorf("arch: %s: not a JSON object: %w; fetch the file again", file, err)
	}
	if m == nil {
		return config{}, fmt.Errorf("arch: %s: not a JSON object but null; fetch the file again", file)
	}
	return config{file: file, m: m, err: new(error)}, nil
}

func (c config) fail(key, format string, args ...any) {
	if *c.err == nil {
		*c.err = fmt.Errorf("arch: %s: %s%s: %s", c.file, c.path, key, fmt.Sprintf(format, args...))
	}
}

func (c config) has(key string) bool { return c.m[key] != nil }

// absent tells a key that is left out, and so has its class's default, from
// one that is null.
func (c config) absent(key string) bool { _, ok := c.m[key]; return !ok }

// sub returns an object field; an empty one when it is absent.
func (c config) sub(key string) config {
	out := config{file: c.file, path: c.path + key + ".", err: c.err}
	switch v := c.m[key].(type) {
	case nil:
	case map[string]any:
		out.m = v
	default:
		c.fail(key, "want an object")
	}
	return out
}

func (c config) number(key string) (float64, bool) {
	switch v := c.m[key].(type) {
	case nil:
		return 0, false
	case float64:
		return v, true
	}
	c.fail(key, "want a number")
	return 0, false
}

// must reads an integer that has to be there.
func (c config) must(key string, lo, hi int64) int64 {
	if !c.has(key) {
		c.fail(key, "is missing; want %d to %d", lo, hi)
		return lo
	}
	return c.int(key, lo, lo, hi)
}

// int reads an integer within bounds, def when it is absent. An error gives lo,
// so that what follows stays small.
func (c config) int(key string, def, lo, hi int64) int64 {
	f, ok := c.number(key)
	if !ok {
		return def
	}
	if f != math.Trunc(f) || f < float64(lo) || f > float64(hi) {
		c.fail(key, "is %s; want a whole number from %d to %d", decimal(f), lo, hi)
		return lo
	}
	return int64(f)
}

// decimal prints a number as configs write it: a billion with its zeros.
func decimal(f float64) string {
	if math.Abs(f) < 1e15 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func (c config) float(key string, def, lo, hi float64) float64 {
	f, ok := c.number(key)
	if !ok {
		return def
	}
	if !(f >= lo && f <= hi) {
		c.fail(key, "is %v; want %v to %v", f, lo, hi)
		return lo
	}
	return f
}

func (c config) str(key, def string) string {
	switch v := c.m[key].(type) {
	case nil:
		return def
	case string:
		return v
	}
	c.fail(key, "want a string")
	return def
}

func (c config) bool(key string, def bool) bool {
	switch v := c.m[key].(type) {
	case nil:
		return def
	case bool:
		return v
	}
	c.fail(key, "want true or false")
	return def
}

// ints reads an integer or a list of integers; at most 64.
func (c config) ints(key string, lo, hi int64) []int64 {
	switch v := c.m[key].(type) {
	case nil:
		return nil
	case float64:
		return []int64{c.int(key, lo, lo, hi)}
	case []any:
		var out []int64
		for _, x := range v {
			f, ok := x.(float64)
			if !ok || f != math.Trunc(f) || f < float64(lo) || f > float64(hi) || len(out) == 64 {
				c.fail(key, "want up to 64 whole numbers from %d to %d", lo, hi)
				return nil
			}
			out = append(out, int64(f))
		}
		return out
	}
	c.fail(key, "want a whole number or a list of them")
	return nil
}

// want refuses a value that the description does not cover.
func (c config) want(key string, ok bool, have any, hint string) {
	if !ok {
		c.fail(key, "is %v, which is not supported; %s", have, hint)
	}
}
