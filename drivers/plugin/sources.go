package plugin

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sync"
	"unsafe"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
)

// sources are the files made for sources of weights that lie in memory only,
// one for each place in memory. The executables of a device share them: the
// bytes stay where they are until the last executable that uses them is
// closed, so an address tells one source from another.
type sources struct {
	mu    sync.Mutex
	files map[place]*sourceFile
}

type place struct {
	first *byte
	size  int
}

type sourceFile struct {
	*os.File
	users int
}

// where says where one source lies.
type where struct {
	index  int // in the graph
	name   string
	fd     uintptr
	offset int64
	size   int64
}

// open returns where the sources that g refers to lie, in the order of
// g.Sources, and a function that lets the files go.
func (s *sources) open(g *graph.Graph, data graph.Data) (list []where, release func(), err error) {
	var mine []place
	var once sync.Once
	release = func() { once.Do(func() { s.release(mine) }) }
	defer func() {
		if err != nil {
			release()
		}
	}()
	used := usedSources(g)
	for i, src := range g.Sources {
		if !used[src.Name] {
			continue
		}
		if data == nil {
			return nil, release, fmt.Errorf("source %q: no data was given", src.Name)
		}
		b, err := data.Source(src.Name)
		if err != nil {
			return nil, release, fmt.Errorf("source %q: %w", src.Name, err)
		}
		w := where{index: i, name: src.Name, size: int64(len(b))}
		if f, ok := data.(graph.FileData); ok {
			if w.fd, w.offset, ok = f.File(src.Name); ok && w.fd <= math.MaxInt32 && w.offset >= 0 {
				list = append(list, w)
				continue
			}
		}
		at := place{unsafe.SliceData(b), len(b)}
		f, err := s.share(at, b)
		if err != nil {
			return nil, release, fmt.Errorf("source %q: putting its %d bytes into a memory file: %w", src.Name, len(b), err)
		}
		mine = append(mine, at)
		w.fd, w.offset = f.Fd(), 0
		list = append(list, w)
	}
	return list, release, nil
}

func (s *sources) share(at place, b []byte) (*sourceFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[at]; f != nil {
		f.users++
		return f, nil
	}
	file, err := memoryFile("heddle-weights", func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return nil, err
	}
	if s.files == nil {
		s.files = map[place]*sourceFile{}
	}
	f := &sourceFile{File: file, users: 1}
	s.files[at] = f
	return f, nil
}

func (s *sources) release(list []place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range list {
		if f := s.files[at]; f != nil {
			if f.users--; f.users == 0 {
				_ = f.Close() // nothing of it is needed any more
				delete(s.files, at)
			}
		}
	}
}

// usedSources tells which sources the weights of g lie in.
func usedSources(g *graph.Graph) map[string]bool {
	used := map[string]bool{}
	for i := range g.Values {
		if w := g.Values[i].Data; w != nil {
			for k := range w.Parts {
				used[w.Parts[k].Source] = true
			}
		}
	}
	return used
}

// Reasons why a library cannot have a weight.
var (
	errDerived = errors.New("it is derived: stored in another encoding than its type's, which a driver behind the C driver ABI does not convert")
	errNoData  = errors.New("it has no data: the graph is only planned with")
)

// weightErr tells why a library cannot use a constant as the graph has it.
func weightErr(v *graph.Value) error {
	if v == nil || v.Kind != graph.Const || v.Data == nil || v.Data.Dims != nil {
		return nil
	}
	w, e := v.Data, v.Type.Enc
	stored := e // as the parts have it: axes are theirs
	if e.Axis >= 0 && e.Axis < len(w.Perm) {
		stored.Axis = w.Perm[e.Axis]
	}
	plain := e.Stored(v.Type.Elem)
	differs := slices.ContainsFunc(w.Parts, func(p graph.Part) bool {
		if e.Kind == enc.Plain {
			return p.Enc.Kind != enc.Plain || p.Enc.Stored(p.Elem) != plain
		}
		return p.Enc != stored
	})
	if differs {
		return fmt.Errorf("weight %q: %w", v.Name, errDerived)
	}
	return nil
}
