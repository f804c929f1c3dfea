package memory

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
)

func moveCases() []suite.Case {
	out := []suite.Case{
		skeleton("move.offsets", offsets),
		skeleton("move.nothing", nothing),
		skeleton("move.rows", rows),
		skeleton("move.columns", columns),
		skeleton("move.neighbours", neighbours),
		skeleton("move.host_slices", hostSlices),
		skeleton("move.refused", moveRefused),
	}
	for i := range 8 {
		out = append(out, skeleton(fmt.Sprintf("move.random_%02d", i), func(ctx context.Context, e *suite.Env, r *rig.Rig) error { return random(ctx, e.Rand(0), r, e) }))
	}
	return out
}

// model is a buffer and what it has to hold.
type model struct {
	buf  *hal.Buffer
	want []byte
}

func newModel(ctx context.Context, r *rig.Rig, seed uint64, n int64) (*model, error) {
	m := &model{want: rig.Noise(seed, n)}
	var err error
	m.buf, err = r.Filled(ctx, m.want)
	return m, err
}

// check compares all bytes: what a command did not name must be as it was.
func (m *model) check(ctx context.Context, r *rig.Rig, what string) error {
	return r.Expect(ctx, what, m.buf.All(), m.want)
}

// expect makes on the host what a command does on the device.
func expect(c *hal.Cmd, of map[*hal.Buffer]*model) {
	switch c.Op {
	case hal.Fill:
		for i := range c.Dst.Size {
			of[c.Dst.Buf].want[c.Dst.Off+i] = c.Value
		}
	case hal.Upload:
		copy(of[c.Dst.Buf].want[c.Dst.Off:], c.Host)
	case hal.Copy:
		for k := range max(1, c.Rows) {
			from := c.Src.Off + k*c.SrcStride
			copy(of[c.Dst.Buf].want[c.Dst.Off+k*c.DstStride:], of[c.Src.Buf].want[from:from+c.Src.Size])
		}
	}
}

// offsets moves regions with every alignment and of lengths around words, up
// to the very first and last byte.
func offsets(ctx context.Context, _ *suite.Env, r *rig.Rig) error {
	const n = 611
	a, err := newModel(ctx, r, 1, n)
	if err != nil {
		return err
	}
	b, err := newModel(ctx, r, 2, n)
	if err != nil {
		return err
	}
	of := map[*hal.Buffer]*model{a.buf: a, b.buf: b}
	for _, size := range []int64{1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65, 127, n} {
		for k := range int64(6) {
			at := func(x int64) int64 { return max(0, min(x, n-size)) }
			cmds := []hal.Cmd{
				{Op: hal.Copy, Dst: b.buf.At(at(k*k+k), size), Src: a.buf.At(at(3*k), size)},
				{Op: hal.Fill, Dst: a.buf.At(at(k+7), size), Value: byte(size + k)},
				{Op: hal.Upload, Dst: a.buf.At(at(n-size-k), size), Host: rig.Noise(uint64(size*k), size)},
				{Op: hal.Copy, Dst: a.buf.At(at(n), size), Src: b.buf.At(0, size)},
			}
			for i := range cmds {
				expect(&cmds[i], of)
			}
			if err := r.Do(ctx, cmds...); err != nil {
				return fmt.Errorf("regions of %d bytes: %w", size, err)
			}
			part, err := r.Read(ctx, b.buf.At(at(5*k), size))
			if err != nil {
				return err
			}
			what := fmt.Sprintf("after moving %d bytes, round %d: ", size, k)
			if err := rig.Same(what+"the part downloaded", part, b.want[at(5*k):at(5*k)+size]); err != nil {
				return err
			}
			if err := a.check(ctx, r, what+"the first buffer"); err != nil {
				return err
			}
			if err := b.check(ctx, r, what+"the second buffer"); err != nil {
				return err
			}
		}
	}
	return nil
}

// nothing moves no bytes, at all sorts of places, the end included.
func nothing(ctx context.Context, _ *suite.Env, r *rig.Rig) error {
	m, err := newModel(ctx, r, 1, 100)
	if err != nil {
		return err
	}
	empty, err := r.Alloc(ctx, 0)
	if err != nil {
		return err
	}
	for _, at := range []int64{0, 1, 64, 99, 100} {
		err := r.Do(ctx,
			hal.Cmd{Op: hal.Fill, Dst: m.buf.At(at, 0), Value: 1},
			hal.Cmd{Op: hal.Upload, Dst: m.buf.At(at, 0)},
			hal.Cmd{Op: hal.Upload, Dst: m.buf.At(at, 0), Host: []byte{}},
			hal.Cmd{Op: hal.Download, Src: m.buf.At(at, 0)},
			hal.Cmd{Op: hal.Copy, Dst: m.buf.At(at, 0), Src: empty.All()},
			hal.Cmd{Op: hal.Copy, Dst: empty.All(), Src: m.buf.At(at, 0)},
			hal.Cmd{Op: hal.Copy, Dst: m.buf.At(at, 0), Src: m.buf.At(at, 0), Rows: 1000, DstStride: 1 << 40, SrcStride: 1 << 40},
		)
		if err != nil {
			return fmt.Errorf("nothing moved at %d: %w", at, err)
		}
	}
	return m.check(ctx, r, "memory that nothing was moved to")
}

// rows copies rows with strides: gathered, scattered, one row over and over,
// the last one ending at the end.
func rows(ctx context.Context, _ *suite.Env, r *rig.Rig) error {
	for _, c := range []struct{ rows, size, dst, src int64 }{
		{1, 10, 0, 0}, {2, 1, 1, 1}, {7, 4, 4, 12}, {7, 4, 12, 4}, {5, 3, 17, 17}, {16, 8, 8, 8},
		{6, 5, 9, 0},                                   // the same row again and again: a broadcast
		{3, 64, 96, 80}, {33, 1, 3, 5}, {4, 10, 10, 3}, // rows of the source overlap
	} {
		need := func(stride int64) int64 { return (c.rows-1)*stride + c.size }
		for _, off := range []int64{0, 5} {
			dst, err := newModel(ctx, r, 1, need(c.dst)+off)
			if err != nil {
				return err
			}
			src, err := newModel(ctx, r, 2, need(c.src)+off)
			if err != nil {
				return err
			}
			cmd := hal.Cmd{Op: hal.Copy, Rows: c.rows, Dst: dst.buf.At(off, c.size), DstStride: c.dst, Src: src.buf.At(off, c.size), SrcStride: c.src}
			expect(&cmd, map[*hal.Buffer]*model{dst.buf: dst, src.buf: src})
			what := fmt.Sprintf("copying %d rows of %d bytes with strides %d and %d", c.rows, c.size, c.dst, c.src)
			if err := r.Do(ctx, cmd); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			if err := dst.check(ctx, r, what+": the destination"); err != nil {
				return err
			}
			if err := src.check(ctx, r, what+": the source"); err != nil {
				return err
			}
		}
	}
	return nil
}

// columns copies a column of a matrix to another one: rows interleave, bytes
// do not overlap.
func columns(ctx context.Context, _ *suite.Env, r *rig.Rig) error {
	const width, height, cell = 48, 9, 8
	m, err := newModel(ctx, r, 3, width*height)
	if err != nil {
		return err
	}
	for _, c := range []struct{ from, to int64 }{{0, 8}, {40, 0}, {16, 33}} {
		cmd := hal.Cmd{Op: hal.Copy, Rows: height, Dst: m.buf.At(c.to, cell-1), DstStride: width, Src: m.buf.At(c.from, cell-1), SrcStride: width}
		expect(&cmd, map[*hal.Buffer]*model{m.buf: m})
		if err := r.Do(ctx, cmd); err != nil {
			return err
		}
		if err := m.check(ctx, r, fmt.Sprintf("a matrix whose column at %d was copied to %d", c.from, c.to)); err != nil {
			return err
		}
	}
	return nil
}

// neighbours copies between parts of one buffer that touch.
func neighbours(ctx context.Context, _ *suite.Env, r *rig.Rig) error {
	m, err := newModel(ctx, r, 4, 200)
	if err != nil {
		return err
	}
	for _, c := range []struct{ dst, src, size int64 }{{100, 0, 100}, {0, 100, 100}, {50, 49, 1}, {49, 50, 1}, {33, 0, 33}, {0, 77, 77}} {
		cmd := hal.Cmd{Op: hal.Copy, Dst: m.buf.At(c.dst, c.size), Src: m.buf.At(c.src, c.size)}
		expect(&cmd, map[*hal.Buffer]*model{m.buf: m})
		if err := r.Do(ctx, cmd); err != nil {
			return err
		}
		if err := m.check(ctx, r, fmt.Sprintf("a buffer after copying %d bytes from %d to %d in it", c.size, c.src, c.dst)); err != nil {
			return err
		}
	}
	return nil
}

// hostSlices uploads from and downloads to slices at odd addresses, and reuses
// them as soon as the batch is done.
func hostSlices(ctx context.Context, _ *suite.Env, r *rig.Rig) error {
	b, err := r.Alloc(ctx, 1024)
	if err != nil {
		return err
	}
	up, down := make([]byte, 1100), make([]byte, 1100)
	for i := range 12 {
		n := 1024 - i*i
		want := rig.Noise(uint64(i), int64(n))
		copy(up[i:], want)
		clear(down)
		if err := r.Do(ctx, hal.Cmd{Op: hal.Upload, Dst: b.At(int64(1024-n), int64(n)), Host: up[i : i+n]}); err != nil {
			return err
		}
		clear(up)
		if err := r.Do(ctx, hal.Cmd{Op: hal.Download, Src: b.At(int64(1024-n), int64(n)), Host: down[i+1 : i+1+n]}); err != nil {
			return err
		}
		if err := rig.Same("what was uploaded and downloaded", down[i+1:i+1+n], want); err != nil {
			return err
		}
		if err := zeros("the host's memory around a download", slices.Concat(down[:i+1], down[i+1+n:])); err != nil {
			return err
		}
	}
	return nil
}

// moveRefused asks for what cannot be: it is refused, nothing is written, and
// the queue goes on.
func moveRefused(ctx context.Context, _ *suite.Env, r *rig.Rig) error {
	m, err := newModel(ctx, r, 5, 256)
	if err != nil {
		return err
	}
	o, err := newModel(ctx, r, 6, 256)
	if err != nil {
		return err
	}
	a, b := m.buf, o.buf
	host := make([]byte, 64)
	cmds := []struct {
		what string
		cmd  hal.Cmd
	}{
		{"a copy onto itself", hal.Cmd{Op: hal.Copy, Dst: a.At(0, 64), Src: a.At(0, 64)}},
		{"a copy that overlaps its source by one byte", hal.Cmd{Op: hal.Copy, Dst: a.At(63, 64), Src: a.At(0, 64)}},
		{"a copy that overlaps its source from behind", hal.Cmd{Op: hal.Copy, Dst: a.At(0, 64), Src: a.At(32, 64)}},
		{"a copy to fewer bytes", hal.Cmd{Op: hal.Copy, Dst: a.At(0, 32), Src: b.At(0, 64)}},
		{"a copy of negative rows", hal.Cmd{Op: hal.Copy, Rows: -1, Dst: a.At(0, 8), Src: b.At(0, 8)}},
		{"rows that overwrite each other", hal.Cmd{Op: hal.Copy, Rows: 3, Dst: a.At(0, 8), DstStride: 7, SrcStride: 8, Src: b.At(0, 8)}},
		{"rows with a negative stride", hal.Cmd{Op: hal.Copy, Rows: 3, Dst: a.At(0, 8), DstStride: 8, SrcStride: -8, Src: b.At(64, 8)}},
		{"rows that leave the destination", hal.Cmd{Op: hal.Copy, Rows: 5, Dst: a.At(0, 8), DstStride: 63, SrcStride: 8, Src: b.At(0, 8)}},
		{"rows that leave the source", hal.Cmd{Op: hal.Copy, Rows: 5, Dst: a.At(0, 8), DstStride: 8, SrcStride: 63, Src: b.At(0, 8)}},
		{"rows whose end overflows", hal.Cmd{Op: hal.Copy, Rows: math.MaxInt64, Dst: a.At(0, 8), DstStride: math.MaxInt64, SrcStride: math.MaxInt64, Src: b.At(0, 8)}},
		{"a fill behind the end", hal.Cmd{Op: hal.Fill, Dst: a.At(256, 1)}},
		{"a fill across the end", hal.Cmd{Op: hal.Fill, Dst: a.At(200, 57)}},
		{"a fill before the start", hal.Cmd{Op: hal.Fill, Dst: a.At(-1, 2)}},
		{"a fill of negative length", hal.Cmd{Op: hal.Fill, Dst: a.At(10, -1)}},
		{"a fill whose end overflows", hal.Cmd{Op: hal.Fill, Dst: a.At(math.MaxInt64, math.MaxInt64)}},
		{"an upload of too few bytes", hal.Cmd{Op: hal.Upload, Dst: a.At(0, 65), Host: host}},
		{"an upload of too many bytes", hal.Cmd{Op: hal.Upload, Dst: a.At(0, 63), Host: host}},
		{"an upload of no bytes", hal.Cmd{Op: hal.Upload, Dst: a.At(0, 1)}},
		{"a download to too few bytes", hal.Cmd{Op: hal.Download, Src: a.At(0, 65), Host: host}},
		{"a download behind the end", hal.Cmd{Op: hal.Download, Src: a.At(193, 64), Host: host}},
		{"a fill of no buffer", hal.Cmd{Op: hal.Fill}},
		{"a copy from no buffer", hal.Cmd{Op: hal.Copy, Dst: a.At(0, 8), Src: hal.Region{Size: 8}}},
		{"a command that there is not", hal.Cmd{Op: 99, Dst: a.All(), Src: b.All()}},
		{"no command", hal.Cmd{}},
	}
	good := hal.Cmd{Op: hal.Fill, Dst: b.At(0, 16), Value: 1}
	for _, c := range cmds {
		if err := rig.Refused(c.what, r.Do(ctx, good, c.cmd), hal.ErrInvalidArgument); err != nil {
			return err
		}
	}
	if err := m.check(ctx, r, "memory that only refused commands named"); err != nil {
		return err
	}
	return o.check(ctx, r, "memory that the first command of refused batches named")
}

// random runs batches of random commands on three buffers and compares all of
// their bytes with what they must hold.
func random(ctx context.Context, rnd *rand.Rand, r *rig.Rig, e *suite.Env) error {
	of := map[*hal.Buffer]*model{}
	var all []*model
	for i := range 3 {
		m, err := newModel(ctx, r, uint64(i), int64(1+rnd.IntN(3000)))
		if err != nil {
			return err
		}
		of[m.buf] = m
		all = append(all, m)
	}
	for batch := range 25 {
		var cmds []hal.Cmd
		var reads []struct{ got, want []byte }
		for range 1 + rnd.IntN(12) {
			c, ok := randomCmd(rnd, all)
			if !ok {
				continue
			}
			expect(&c, of)
			if c.Op == hal.Download {
				want := of[c.Src.Buf].want[c.Src.Off : c.Src.Off+c.Src.Size]
				reads = append(reads, struct{ got, want []byte }{c.Host, slices.Clone(want)})
			}
			cmds = append(cmds, c)
		}
		if err := r.Do(ctx, cmds...); err != nil {
			return fmt.Errorf("batch %d: %w", batch, err)
		}
		for _, d := range reads {
			if err := rig.Same(fmt.Sprintf("batch %d: a download between other commands", batch), d.got, d.want); err != nil {
				return err
			}
		}
		for i, m := range all {
			if err := m.check(ctx, r, fmt.Sprintf("buffer %d after %d batches", i, batch+1)); err != nil {
				return err
			}
		}
	}
	return nil
}

// randomCmd draws a valid command; false where the draw came to nothing.
func randomCmd(rnd *rand.Rand, ms []*model) (hal.Cmd, bool) {
	pick := func() (*model, int64, int64) {
		m := ms[rnd.IntN(len(ms))]
		n := int64(len(m.want))
		off := rnd.Int64N(n)
		return m, off, rnd.Int64N(n-off) + 1
	}
	m, off, size := pick()
	switch rnd.IntN(5) {
	case 0:
		return hal.Cmd{Op: hal.Fill, Dst: m.buf.At(off, size), Value: byte(rnd.IntN(256))}, true
	case 1:
		return hal.Cmd{Op: hal.Upload, Dst: m.buf.At(off, size), Host: rig.Noise(rnd.Uint64(), size)}, true
	case 2:
		return hal.Cmd{Op: hal.Download, Src: m.buf.At(off, size), Host: make([]byte, size)}, true
	}
	o, from, size2 := pick()
	size = min(size, size2)
	c := hal.Cmd{Op: hal.Copy, Dst: m.buf.At(off, size), Src: o.buf.At(from, size)}
	if m == o && off < from+size && from < off+size {
		return c, false
	}
	if m != o && rnd.IntN(2) == 0 {
		c.Rows = 1 + rnd.Int64N(6)
		row := max(1, size/(2*c.Rows))
		c.Dst.Size, c.Src.Size = row, row
		c.DstStride = row + rnd.Int64N(row+1)
		c.SrcStride = rnd.Int64N(2 * row)
		if (c.Rows-1)*c.DstStride+row > int64(len(m.want))-off || (c.Rows-1)*c.SrcStride+row > int64(len(o.want))-from {
			return c, false
		}
	}
	return c, true
}
