package arch

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
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

func parseConfig(file string, data []byte) (config, error) {
	var m map[string]any
	dec := json.NewDecoder(strings.NewReader(string(data)))
	if err := dec.Decode(&m); err != nil {
		return config{}, fmt.Errorf("arch: %s: not a JSON object: %w", file, err)
	}
	return config{file: file, m: m, err: new(error)}, nil
}

func (c config) fail(key, format string, args ...any) {
	if *c.err == nil {
		*c.err = fmt.Errorf("arch: %s: %s%s: %s", c.file, c.path, key, fmt.Sprintf(format, args...))
	}
}

func (c config) has(key string) bool { v, ok := c.m[key]; return ok && v != nil }

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
		c.fail(key, "is %v; want a whole number from %d to %d", f, lo, hi)
		return lo
	}
	return int64(f)
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
