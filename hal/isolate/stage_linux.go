package isolate

import (
	"math/bits"

	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// stage is shared memory through which the bytes of one batch's uploads and
// downloads pass.
type stage struct {
	id      uint64
	mapping *wire.Mapping
}

const (
	minStage = 64 << 10
	// A queue keeps a few stages; large ones are not worth keeping.
	keptStages = 4
	keptSize   = 64 << 20
)

// stageSize is what n bytes take in a stage.
func stageSize(n int) int64 { return (int64(n) + driver.PlaneAlign - 1) &^ (driver.PlaneAlign - 1) }

// stage returns one with room for need bytes. The caller holds lock.
func (q *queue) stage(need int64) (*stage, error) {
	q.mu.Lock()
	var drop []*stage
	var found *stage
	keep := q.stages[:0]
	for i, st := range q.stages {
		switch n := int64(len(st.mapping.Bytes)); {
		case found == nil && n >= need:
			found = st
		case n > keptSize || len(q.stages)-i > keptStages:
			drop = append(drop, st)
		default:
			keep = append(keep, st)
		}
	}
	clear(q.stages[len(keep):])
	q.stages = keep
	q.mu.Unlock()
	for _, st := range drop {
		q.dropStage(st)
	}
	if found != nil {
		return found, nil
	}
	size := max(need, minStage)
	if size <= keptSize {
		size = 1 << bits.Len64(uint64(size-1))
	}
	fd, err := wire.MemFile("stage", size)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	m, err := wire.Map(fd, 0, size, true)
	if err != nil {
		return nil, err
	}
	st := &stage{id: q.d.id(), mapping: m}
	f := wire.Frame{Kind: wire.Stage, A: st.id, C: uint64(size)}
	if err := q.d.l.send(&f, fd, true); err != nil {
		m.Unmap()
		return nil, q.d.l.sendErr(err)
	}
	return st, nil
}

// release makes a stage available again.
func (q *queue) release(st *stage) {
	if st == nil {
		return
	}
	q.mu.Lock()
	dead := q.dead != nil
	if !dead {
		q.stages = append(q.stages, st)
	}
	q.mu.Unlock()
	if dead {
		st.mapping.Unmap()
	}
}

// dropStage ends a stage here and in the child.
func (q *queue) dropStage(st *stage) {
	_ = q.d.l.send(&wire.Frame{Kind: wire.Drop, A: st.id, B: 1}, 0, false) // a lost child has dropped it
	st.mapping.Unmap()
}
