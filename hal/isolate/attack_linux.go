package isolate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// Attack proves that a host process survives what no client says. It records
// a session in which graph g, which the device must support, is compiled and run,
// and plays it again as often as asked, each time with a few frames changed, left out, repeated or
// exchanged, to one process with the driver. The error says which session, by the seed and
// its number, made the process crash or hang.
//
// Name and id are the driver's and the device's; in is the driver in this
// program, as for Driver.
func Attack(ctx context.Context, name, id string, in driver.Driver, o Options, g *graph.Graph, data graph.Data, sessions int, seed uint64) (AttackReport, error) {
	d := &isolated{name: name, info: infoOf(name, in), here: in != nil, o: o}
	tape, err := d.record(ctx, id, g, data)
	defer tape.close()
	if err != nil {
		return AttackReport{}, fmt.Errorf("recording a session: %w", err)
	}
	path, program, err := d.program()
	if err != nil {
		return AttackReport{}, err
	}
	p, conn, err := startProcess(path, program, name, "3,many", &o)
	if err != nil {
		return AttackReport{}, err
	}
	defer conn.Close()
	var rep AttackReport
	for ; rep.Sessions < sessions && ctx.Err() == nil; rep.Sessions++ {
		r := rand.New(rand.NewPCG(seed, uint64(rep.Sessions)))
		refused, err := tape.play(conn, r)
		if err != nil {
			_ = conn.Close()
			return rep, fmt.Errorf("seed %d, session %d: %w: the process of %s %s", seed, rep.Sessions, err, program, p.end(100*time.Millisecond))
		}
		if refused {
			rep.Refused++
		}
	}
	_ = conn.Close()
	p.end(byeGrace)
	return rep, ctx.Err()
}

// tape is what a client sent.
type tape struct {
	mu     sync.Mutex
	frames []taped
}

type taped struct {
	frame wire.Frame
	file  int // -1: none
}

func (t *tape) close() {
	for _, f := range t.frames {
		if f.file >= 0 {
			_ = unix.Close(f.file)
		}
	}
}

// record has a client do what clients do, and listens.
func (d *isolated) record(ctx context.Context, id string, g *graph.Graph, data graph.Data) (*tape, error) {
	t := &tape{}
	path, program, err := d.program()
	if err != nil {
		return t, err
	}
	p, host, err := startProcess(path, program, d.name, "3", &d.o)
	if err != nil {
		return t, err
	}
	x, y, err := wire.Pair()
	if err != nil {
		_ = host.Close()
		p.end(0)
		return t, err
	}
	here, err1 := wire.NewConn(x)
	there, err2 := wire.NewConn(y)
	if err := errors.Join(err1, err2); err != nil {
		_ = host.Close()
		p.end(0)
		return t, err
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { t.listen(there, host) })
	pumps.Go(func() {
		defer there.Close()
		buf := make([]byte, wire.MaxFrame+1)
		var f wire.Frame
		for host.Recv(buf, &f) == nil && there.Send(f.Append(nil)) == nil {
		}
	})
	l := newLink(here, nil, &d.o)
	err = d.scenario(ctx, l, id, g, data)
	l.close(0)
	_ = host.Close()
	pumps.Wait()
	p.end(byeGrace)
	return t, err
}

// listen passes frames on and keeps them.
func (t *tape) listen(from, to *wire.Conn) {
	defer to.Close()
	buf := make([]byte, wire.MaxFrame+1)
	for {
		var f wire.Frame
		fd, err := from.RecvFile(buf, &f)
		if err != nil {
			return
		}
		f.Payload = append([]byte(nil), f.Payload...)
		t.mu.Lock()
		t.frames = append(t.frames, taped{f, fd})
		t.mu.Unlock()
		if fd >= 0 {
			err = to.SendFile(f.Append(nil), fd)
		} else {
			err = to.Send(f.Append(nil))
		}
		if err != nil {
			return
		}
	}
}

// scenario uses everything that a device has.
func (d *isolated) scenario(ctx context.Context, l *link, id string, g *graph.Graph, data graph.Data) (err error) {
	if err := l.greet(ctx, d.name); err != nil {
		return err
	}
	open, err := json.Marshal(wire.OpenRequest{ID: id, Options: driver.OpenOptions{Threads: 1}})
	if err != nil {
		return err
	}
	payload, err := l.call(ctx, request{kind: wire.Open, payload: open, limit: replyLimit, slow: true})
	if err != nil {
		return err
	}
	opened, err := wire.JSON[wire.Opened](payload)
	if err != nil {
		return err
	}
	dev := newDevice(l, &opened)
	for i, v := range dev.Supports(g) {
		if !v.OK {
			return fmt.Errorf("node %d of the graph: %s: %w", i, v.Text, driver.ErrUnsupported)
		}
	}
	x, err := dev.Compile(ctx, g, driver.CompileOptions{Label: "attack", Data: data})
	if err != nil {
		return err
	}
	if c, ok := driver.As[driver.Cacher](dev); ok {
		if blob, err := c.Save(x); err == nil && c.Judge(blob) <= driver.Usable {
			if y, err := c.Load(ctx, blob, g, driver.CompileOptions{Data: data}); err == nil {
				_ = y.Close()
			}
		}
	}
	if e, ok := driver.As[driver.Estimator](dev); ok {
		e.Estimate(g, nil)
	}
	at := map[string]int64{}
	var dims []int64
	for _, s := range x.Symbols() {
		at[s.Name] = s.Min
		dims = append(dims, s.Min)
	}
	q, err := dev.NewQueue(driver.QueueOptions{Label: "attack"})
	if err != nil {
		return err
	}
	var args []driver.Region
	batch := &driver.Batch{}
	for _, b := range x.Bindings() {
		size, err := b.Size(at)
		if err != nil {
			return err
		}
		m, err := dev.Alloc(ctx, driver.MemSpec{Size: size + 64})
		if err != nil {
			return err
		}
		r := driver.Region{Mem: m, Size: size}
		args = append(args, r)
		batch.Cmds = append(batch.Cmds, driver.Cmd{Op: driver.Fill, Dst: r}, driver.Cmd{Op: driver.Upload, Dst: r, Host: make([]byte, size)})
	}
	batch.Cmds = append(batch.Cmds, driver.Cmd{Op: driver.Run, Exec: x, Args: args, Dims: dims})
	for _, r := range args {
		row := driver.Region{Mem: r.Mem, Size: min(r.Size, 4)}
		to := driver.Region{Mem: r.Mem, Off: r.Size, Size: row.Size}
		batch.Cmds = append(batch.Cmds, driver.Cmd{Op: driver.Download, Src: r, Host: make([]byte, r.Size)}, driver.Cmd{Op: driver.Copy, Dst: to, Src: row, Rows: 2, DstStride: row.Size, SrcStride: 0})
	}
	tl, err := q.NewTimeline(0)
	if err != nil {
		return err
	}
	for v := uint64(1); v <= 3; v++ {
		batch.Wait, batch.Signal = []driver.Point{{T: tl, V: v - 1}}, []driver.Point{{T: tl, V: v}}
		if err := q.Submit(ctx, batch); err != nil {
			return err
		}
	}
	if err := tl.Wait(ctx, 3); err != nil {
		return err
	}
	x.Footprint()
	err = errors.Join(q.Close(), x.Close())
	for _, r := range args {
		err = errors.Join(err, r.Mem.Free())
	}
	return errors.Join(err, dev.Close())
}

// attackPatience is how long a host may take for one session. It lets go of a
// hanging driver after two seconds.
const attackPatience = 20 * time.Second

// play sends the tape, changed, to a session of its own. It reports whether the
// host refused to go on.
func (t *tape) play(control *wire.Conn, r *rand.Rand) (refused bool, err error) {
	x, y, err := wire.Pair()
	if err != nil {
		return false, err
	}
	begin := wire.Frame{Kind: wire.Ping}
	err = control.SendFile(begin.Append(nil), y)
	_ = unix.Close(y)
	if err != nil {
		_ = unix.Close(x)
		return false, err
	}
	conn, err := wire.NewConn(x)
	if err != nil {
		return false, err
	}
	answers := make(chan struct{}, 1024)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(answers)
		buf := make([]byte, wire.MaxFrame+1)
		var f wire.Frame
		for conn.Recv(buf, &f) == nil {
			if f.Kind == wire.Reply && f.Flags&wire.More == 0 {
				select {
				case answers <- struct{}{}:
				default:
				}
			}
		}
	})
	for _, m := range mutate(t.frames, r) {
		if m.file >= 0 {
			err = conn.SendFile(m.raw, m.file)
		} else {
			err = conn.Send(m.raw)
		}
		if err != nil {
			break // the host has had enough
		}
		if m.call {
			select {
			case <-answers: // or the end of them: then the next message cannot be sent
			case <-time.After(20 * time.Millisecond): // it was no call any more
			}
		}
	}
	_ = conn.Close()
	reading.Wait()

	// The outcome comes over the control socket.
	type outcome struct {
		f   wire.Frame
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		o.err = control.Recv(make([]byte, wire.MaxFrame+1), &o.f)
		done <- o
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return false, fmt.Errorf("it is gone (%w)", o.err)
		}
		return o.f.Code != 0, nil
	case <-time.After(attackPatience):
		return false, fmt.Errorf("no end within %v: %w", attackPatience, os.ErrDeadlineExceeded)
	}
}

// message is a frame as it is sent, sense or not.
type message struct {
	raw  []byte
	file int
	call bool
}

// mutate returns the frames with one to three changes.
func mutate(frames []taped, r *rand.Rand) []message {
	out := make([]message, len(frames))
	for i, f := range frames {
		out[i] = message{f.frame.Append(nil), f.file, f.frame.Kind.IsCall()}
	}
	for range 1 + r.IntN(3) {
		i := r.IntN(len(out))
		m := &out[i]
		switch r.IntN(12) {
		case 0: // leave one out
			if len(out) > 1 {
				out = append(out[:i], out[i+1:]...)
			}
		case 1: // say it twice
			out = append(out[:i+1], out[i:]...)
		case 2: // too early or too late
			k := r.IntN(len(out))
			out[i], out[k] = out[k], out[i]
		case 3: // without its file, or with another one
			m.file = frames[r.IntN(len(frames))].file
		case 4:
			m.raw = m.raw[:r.IntN(len(m.raw)+1)]
			if len(m.raw) == 0 {
				m.raw = []byte{0}
			}
		case 5:
			m.raw = append(m.raw, make([]byte, 1+r.IntN(100))...)
		case 6, 7: // a number of the header
			at := 4 + r.IntN(wire.HeaderSize-4)
			m.raw = spoil(m.raw, at, r)
		default:
			m.raw = spoil(m.raw, r.IntN(len(m.raw)), r)
		}
	}
	return out
}

// spoil changes a byte, or a number, at a place.
func spoil(b []byte, at int, r *rand.Rand) []byte {
	if at >= len(b) {
		return b
	}
	switch r.IntN(4) {
	case 0:
		b[at] ^= 1 << r.IntN(8)
	case 1:
		b[at] = byte(r.Uint32())
	case 2:
		b[at] = []byte{0, 1, 0x7f, 0x80, 0xff}[r.IntN(5)]
	default:
		at &^= 7
		special := []uint64{0, 1, 2, 3, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1}
		v := special[r.IntN(len(special))]
		for i := at; i < len(b) && i < at+8; i++ {
			b[i] = byte(v)
			v >>= 8
		}
	}
	return b
}
