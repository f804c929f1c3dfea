package jinja

// globals are the functions every template sees.
var globals = &scope{}

func init() {
	for name, f := range map[string]func(r *renderer, a callArgs) value{
		"range": makeRange, "dict": makeDict, "namespace": makeNamespace, "cycler": makeCycler, "joiner": makeJoiner,
		"raise_exception": func(r *renderer, a callArgs) value {
			p := r.bind("raise_exception", a, "message")
			e := r.errorf("%s", r.toString(p[0]))
			e.Err = ErrRaised
			panic(e)
		},
		"strftime_now": func(r *renderer, a callArgs) value {
			p := r.bind("strftime_now", a, "format")
			format := r.textArg("strftime_now", "format", p[0])
			if len(format) > maxTimeFormat {
				panic(r.limitf("strftime_now: the format is longer than %d bytes", maxTimeFormat))
			}
			s, err := strftime(r.now(), format)
			if err != nil {
				panic(r.errorf("%s", err.Error()))
			}
			return r.str(s)
		},
	} {
		globals.set(name, &builtin{name, f})
	}
}

const maxTimeFormat = 4096

// maxRange is the longest range that jinja2's sandbox allows.
const maxRange = 100_000

func makeRange(r *renderer, a callArgs) value {
	p := r.bind("range", a, "start", "stop?", "step?")
	if len(a.names) > 0 {
		panic(r.errorf("range() takes no keyword arguments"))
	}
	var n [3]int64
	for i, v := range p {
		if v == nil {
			continue
		}
		r.defined(v)
		whole, ok := smallInt(v)
		if !ok {
			panic(r.errorf("range: '%s' object cannot be interpreted as a small integer", typeName(v)))
		}
		if whole > 1<<60 || whole < -1<<60 {
			panic(r.errorf("range too big: at most %d items are allowed", maxRange))
		}
		n[i] = whole
	}
	s := &span{start: n[0], stop: n[1], step: n[2]}
	if p[1] == nil {
		s.start, s.stop = 0, n[0]
	}
	if p[2] == nil {
		s.step = 1
	}
	switch {
	case s.step == 0:
		panic(r.errorf("range: step must not be zero"))
	case s.step > 0 && s.stop > s.start:
		s.n = (s.stop - s.start + s.step - 1) / s.step
	case s.step < 0 && s.stop < s.start:
		s.n = (s.start - s.stop - s.step - 1) / -s.step
	}
	if s.n > maxRange {
		panic(r.errorf("range too big: %d items, at most %d are allowed", s.n, maxRange))
	}
	return s
}

func makeDict(r *renderer, a callArgs) value {
	if len(a.pos) > 1 {
		panic(r.errorf("dict expected at most 1 argument, got %d", len(a.pos)))
	}
	d := newDict(len(a.kw))
	add := func(k, v value) {
		r.alloc(4 * valueSize)
		d.set(r.hash(k), k, v)
	}
	if len(a.pos) == 1 {
		if from, ok := a.pos[0].(*dict); ok {
			for i, k := range from.keys {
				add(k, from.vals[i])
			}
		} else {
			for _, pair := range r.items(a.pos[0]) {
				kv := r.items(pair)
				if len(kv) != 2 {
					panic(r.errorf("dict: each item must be a pair, got %d values", len(kv)))
				}
				add(kv[0], kv[1])
			}
		}
	}
	for i, name := range a.names {
		add(name, a.kw[i])
	}
	return d
}

func makeNamespace(r *renderer, a callArgs) value {
	return &namespace{makeDict(r, a).(*dict)}
}

// cycler yields its items in turn.
type cycler struct {
	items []value
	pos   int
}

func makeCycler(r *renderer, a callArgs) value {
	if len(a.pos) == 0 {
		panic(r.errorf("cycler: at least one item has to be provided"))
	}
	return &cycler{items: a.pos}
}

// attr returns an attribute of a cycler, or nil.
func (c *cycler) attr(r *renderer, name string) value {
	switch name {
	case "current":
		return c.items[c.pos]
	case "next":
		return r.method(name, func(*renderer, callArgs) value {
			v := c.items[c.pos]
			c.pos = (c.pos + 1) % len(c.items)
			return v
		})
	case "reset":
		return r.method(name, func(*renderer, callArgs) value {
			c.pos = 0
			return none{}
		})
	}
	return nil
}

// joiner yields nothing the first time and its separator from then on.
type joiner struct {
	sep  value
	used bool
}

func makeJoiner(r *renderer, a callArgs) value {
	p := r.bind("joiner", a, "sep?")
	if p[0] == nil {
		p[0] = ", "
	}
	return &joiner{sep: p[0]}
}

func (j *joiner) invoke(r *renderer, a callArgs) value {
	r.bind("joiner", a)
	if !j.used {
		j.used = true
		return ""
	}
	return j.sep
}
