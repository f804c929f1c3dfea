package plugin

import (
	"fmt"
	"runtime"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal/abi"
	"github.com/heddle-ml/heddle/hal/driver"
)

// transfer is a command on memory that the host does not see, dressed up as a
// run: a HostQueue executes the others itself.
type transfer struct{ cmd driver.Cmd }

func (*transfer) Bindings() []driver.Binding  { return nil }
func (*transfer) Symbols() []dim.Symbol       { return nil }
func (*transfer) Footprint() driver.Footprint { return driver.Footprint{} }
func (*transfer) Close() error                { return nil }

// hidden reports whether a command needs the library because the host does not
// see some memory.
func (q *queue) hidden(c *driver.Cmd) bool {
	of := func(r driver.Region) bool {
		m, ok := r.Mem.(*memory)
		return ok && m.hidden()
	}
	switch c.Op {
	case driver.Copy:
		return of(c.Dst) || of(c.Src)
	case driver.Fill, driver.Upload:
		return of(c.Dst)
	case driver.Download:
		return of(c.Src)
	}
	return false
}

// translate returns a copy of b with transfers for such commands.
func (q *queue) translate(b *driver.Batch) *driver.Batch {
	out := &driver.Batch{Wait: b.Wait, Signal: b.Signal, Cmds: make([]driver.Cmd, len(b.Cmds))}
	for i, c := range b.Cmds {
		if q.hidden(&c) {
			c = driver.Cmd{Op: driver.Run, Exec: &transfer{c}}
		}
		out.Cmds[i] = c
	}
	return out
}

// transfer executes such a command.
func (q *queue) transfer(c *driver.Cmd) error {
	d, t := q.dev, &q.dev.lib.table
	var pin runtime.Pinner
	defer pin.Unpin()
	switch c.Op {
	case driver.Copy:
		dst, err := d.memoryOf(c.Dst)
		if err != nil {
			return err
		}
		src, err := d.memoryOf(c.Src)
		if err != nil {
			return err
		}
		return call(d, "copy", t.Copy, d.handle, &abi.CopyArgs{Dst: dst.handle, DstOffset: uint64(c.Dst.Off), DstStride: uint64(c.DstStride),
			Src: src.handle, SrcOffset: uint64(c.Src.Off), SrcStride: uint64(c.SrcStride), BytesSize: uint64(c.Dst.Size), Rows: uint64(max(1, c.Rows))})
	case driver.Fill:
		dst, err := d.memoryOf(c.Dst)
		if err != nil {
			return err
		}
		return call(d, "fill", t.Fill, dst.handle, &abi.FillArgs{Offset: uint64(c.Dst.Off), BytesSize: uint64(c.Dst.Size), Value: uint32(c.Value)})
	case driver.Upload:
		dst, err := d.memoryOf(c.Dst)
		if err != nil {
			return err
		}
		return call(d, "upload", t.Upload, dst.handle, &abi.UploadArgs{Offset: uint64(c.Dst.Off), BytesSize: uint64(min(c.Dst.Size, int64(len(c.Host)))), Host: arrayOf(&pin, c.Host)})
	case driver.Download:
		src, err := d.memoryOf(c.Src)
		if err != nil {
			return err
		}
		return call(d, "download", t.Download, src.handle, &abi.DownloadArgs{Offset: uint64(c.Src.Off), BytesSize: uint64(min(c.Src.Size, int64(len(c.Host)))), Host: arrayOf(&pin, c.Host)})
	}
	return fmt.Errorf("no such transfer: %w", driver.ErrUnsupported)
}
