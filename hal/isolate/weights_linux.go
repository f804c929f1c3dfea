package isolate

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// weights are the sources that the child has mapped. Each is sent once, and
// dropped with the last executable that was made from it.
type weights struct {
	l   *link
	ids *atomic.Uint32

	mu  sync.Mutex
	all map[place]*weight
}

// place tells sources apart: where their bytes are in this process. It is
// unique as long as an executable that uses them is open, for so long they
// stay valid.
type place struct {
	at   *byte
	size int
}

type weight struct {
	place place
	id    uint32
	refs  int
}

// take sends the sources that the graphs use and that the child does not
// have, and returns what to call them. A source that cannot be had is the
// device's business: it may not need it.
func (w *weights) take(gs []*graph.Graph, data graph.Data) (refs []wire.SourceRef, used []*weight, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range sourcesOf(gs) {
		var b []byte
		err := fmt.Errorf("no data was given")
		if data != nil {
			b, err = data.Source(name)
		}
		if err != nil {
			refs = append(refs, wire.SourceRef{Name: name, Err: wire.FailureOf(err), Cause: err})
			continue
		}
		x, err := w.one(name, b, data)
		if err != nil {
			w.drop(used)
			return nil, nil, err
		}
		used = append(used, x)
		refs = append(refs, wire.SourceRef{Name: name, ID: x.id})
	}
	return refs, used, nil
}

// one returns a source with one more reference. The caller holds mu.
func (w *weights) one(name string, b []byte, data graph.Data) (*weight, error) {
	at := place{unsafe.SliceData(b), len(b)}
	if x := w.all[at]; x != nil {
		x.refs++
		return x, nil
	}
	var fd int
	var off int64
	files, ok := data.(graph.FileData)
	if ok {
		var f uintptr
		f, off, ok = files.File(name)
		fd = int(f)
	}
	if !ok {
		var err error
		if fd, err = wire.Frozen("weights", b); err != nil {
			return nil, fmt.Errorf("source %q: %w", name, err)
		}
		defer unix.Close(fd)
		off = 0
	}
	x := &weight{place: at, id: w.ids.Add(1), refs: 1}
	f := wire.Frame{Kind: wire.Source, A: uint64(x.id), B: uint64(off), C: uint64(len(b))}
	if err := w.l.send(&f, fd, true); err != nil {
		return nil, w.l.sendErr(err)
	}
	if w.all == nil {
		w.all = map[place]*weight{}
	}
	w.all[at] = x
	return x, nil
}

// again takes one more reference of each.
func (w *weights) again(xs []*weight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range xs {
		x.refs++
	}
}

// release gives references back.
func (w *weights) release(xs []*weight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(xs)
}

func (w *weights) drop(xs []*weight) {
	for _, x := range xs {
		if x.refs--; x.refs > 0 {
			continue
		}
		delete(w.all, x.place)
		_ = w.l.send(&wire.Frame{Kind: wire.Drop, A: uint64(x.id)}, 0, false) // a lost child has dropped it
	}
}

// sourcesOf lists the sources that weights of the graphs refer to, sorted.
func sourcesOf(gs []*graph.Graph) []string {
	var out []string
	for _, g := range gs {
		for i := range g.Values {
			w := g.Values[i].Data
			if w == nil {
				continue
			}
			for k := range w.Parts {
				if s := w.Parts[k].Source; s != "" {
					out = append(out, s)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
