package jinja

// scope is one level of names. Most have few, and a new one is made for every
// iteration of a loop: the first few names take no further memory, and a map
// is made only when there are many.
type scope struct {
	parent *scope
	n      int
	few    [4]binding
	many   map[string]value
}

type binding struct {
	name string
	v    value
}

// missing marks a name that is known to a scope but not assigned yet: it hides
// the same name of outer scopes.
type missing struct{}

func newScope(parent *scope, hidden frameNames) *scope {
	s := &scope{parent: parent}
	for _, n := range hidden {
		s.set(n, missing{})
	}
	return s
}

func (s *scope) set(name string, v value) {
	for i := range s.few[:s.n] {
		if s.few[i].name == name {
			s.few[i].v = v
			return
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = binding{name, v}
		s.n++
		return
	}
	if s.many == nil {
		s.many = map[string]value{}
	}
	s.many[name] = v
}

func (s *scope) get(name string) (value, bool) {
	for i := range s.few[:s.n] {
		if s.few[i].name == name {
			return s.few[i].v, true
		}
	}
	v, ok := s.many[name]
	return v, ok
}

// lookup returns the value of a name in this scope or those around it.
func (s *scope) lookup(name string) value {
	for ; s != nil; s = s.parent {
		if v, ok := s.get(name); ok {
			if _, m := v.(missing); m {
				break
			}
			return v
		}
	}
	return &undefined{"'" + name + "' is undefined"}
}
