package plugin

import (
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"unsafe"

	"github.com/heddle-ml/heddle/graph"
)

// sources are the files made for weights that lie in memory only, or that are
// derived. The executables of a device share them: the bytes stay where they
// are until the last executable that uses them is closed, so their address, as
// part of a key, tells one file from another.
type sources struct {
	mu    sync.Mutex
	files map[string]*sourceFile
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

// open returns where the sources that a graph refers to lie, in the order of
// the graph's, and a function that lets the files go.
func (s *sources) open(f *form, data graph.Data) (list []where, release func(), err error) {
	var mine []string
	var once sync.Once
	release = func() { once.Do(func() { s.release(mine) }) }
	defer func() {
		if err != nil {
			release()
		}
	}()
	// file finds or makes the file of a key.
	file := func(key string, write func(io.Writer) error) (uintptr, error) {
		f, err := s.share(key, write)
		if err != nil {
			return 0, fmt.Errorf("a memory file for weights: %w", err)
		}
		mine = append(mine, key)
		return f.Fd(), nil
	}
	used := usedSources(f.graph)
	for i, src := range f.graph.Sources {
		if !used[src.Name] {
			continue
		}
		w := where{index: i, name: src.Name, size: src.Size}
		if f.derived != nil && src.Name == f.derived.source {
			key, err := f.derived.key(data)
			if err != nil {
				return nil, release, err
			}
			if w.fd, err = file(key, func(out io.Writer) error { return f.derived.write(out, data) }); err != nil {
				return nil, release, err
			}
			list = append(list, w)
			continue
		}
		b, err := sourceOf(data, src.Name)
		if err != nil {
			return nil, release, err
		}
		w.size = int64(len(b))
		if f, ok := data.(graph.FileData); ok {
			if w.fd, w.offset, ok = f.File(src.Name); ok && w.fd <= math.MaxInt32 && w.offset >= 0 {
				list = append(list, w)
				continue
			}
		}
		w.offset = 0
		w.fd, err = file(fmt.Sprintf("%p+%d", unsafe.SliceData(b), len(b)), func(out io.Writer) error {
			_, err := out.Write(b)
			return err
		})
		if err != nil {
			return nil, release, fmt.Errorf("source %q of %d bytes: %w", src.Name, len(b), err)
		}
		list = append(list, w)
	}
	return list, release, inside(f.graph, list)
}

func (s *sources) share(key string, write func(io.Writer) error) (*sourceFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[key]; f != nil {
		f.users++
		return f, nil
	}
	file, err := memoryFile("heddle-weights", write)
	if err != nil {
		return nil, err
	}
	if s.files == nil {
		s.files = map[string]*sourceFile{}
	}
	f := &sourceFile{File: file, users: 1}
	s.files[key] = f
	return f, nil
}

func (s *sources) release(keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if f := s.files[key]; f != nil {
			if f.users--; f.users == 0 {
				_ = f.Close() // nothing of it is needed any more
				delete(s.files, key)
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

// sourceOf returns the bytes of a source.
func sourceOf(data graph.Data, name string) ([]byte, error) {
	if data == nil {
		return nil, fmt.Errorf("source %q: no data was given", name)
	}
	b, err := data.Source(name)
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", name, err)
	}
	return b, nil
}
