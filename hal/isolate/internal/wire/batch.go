package wire

import (
	"encoding/binary"

	"github.com/heddle-ml/heddle/hal/driver"
)

// Region is part of a memory.
type Region struct {
	Mem       uint32
	Off, Size int64
}

// Cmd is one command; see driver.Cmd. Uploads and downloads have their bytes
// in the batch's stage, at Stage.
type Cmd struct {
	Op                   driver.CmdOp
	Value                byte
	Exec                 uint32
	Args                 []Region
	Dims                 []int64
	Dst, Src             Region
	Rows                 int64
	DstStride, SrcStride int64
	Stage                int64
}

// Batch is what one Submit asks for: Cmds in order, after the batches of the
// same queue whose numbers are in After. Reset and Decode reuse its storage.
type Batch struct {
	Cmds    []Cmd
	After   []uint64
	regions []Region
	dims    []int64
}

// MaxCmds bounds the commands of one batch.
const MaxCmds = 1 << 16

const regionSize = 24

func appendRegion(b []byte, r Region) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(r.Mem))
	b = le.AppendUint64(b, uint64(r.Off))
	return le.AppendUint64(b, uint64(r.Size))
}

// AppendRun appends the beginning of a Run command, whose arguments and
// dimensions follow with AppendArg and AppendDim.
func AppendRun(b []byte, exec uint32, args, dims int) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(append(b, byte(driver.Run), 0), exec)
	b = le.AppendUint32(b, uint32(args))
	return le.AppendUint32(b, uint32(dims))
}

// AppendArg appends an argument of a run.
func AppendArg(b []byte, r Region) []byte { return appendRegion(b, r) }

// AppendDim appends a dimension of a run.
func AppendDim(b []byte, d int64) []byte { return binary.LittleEndian.AppendUint64(b, uint64(d)) }

// Append appends a command other than Run.
func (c *Cmd) Append(b []byte) []byte {
	b = append(b, byte(c.Op), c.Value)
	switch c.Op {
	case driver.Copy:
		b = appendRegion(appendRegion(b, c.Dst), c.Src)
		for _, v := range [...]int64{c.Rows, c.DstStride, c.SrcStride} {
			b = AppendDim(b, v)
		}
	case driver.Fill:
		b = appendRegion(b, c.Dst)
	case driver.Upload:
		b = AppendDim(appendRegion(b, c.Dst), c.Stage)
	case driver.Download:
		b = AppendDim(appendRegion(b, c.Src), c.Stage)
	}
	return b
}

func (r *Reader) region() Region {
	m := r.U64()
	if m > 1<<32-1 && r.err == nil {
		r.err = garbage("memory %d", m)
	}
	return Region{uint32(m), r.I64(), r.I64()}
}

// Decode reads the payload of a Submit that ends in the given number of
// dependencies.
func (b *Batch) Decode(payload []byte, after uint64) error {
	b.Cmds, b.After, b.regions, b.dims = b.Cmds[:0], b.After[:0], b.regions[:0], b.dims[:0]
	if after > Window || after*8 > uint64(len(payload)) {
		return garbage("a batch of %d bytes with %d dependencies", len(payload), after)
	}
	cut := len(payload) - int(after)*8
	for at := cut; at < len(payload); at += 8 {
		b.After = append(b.After, binary.LittleEndian.Uint64(payload[at:]))
	}
	r := Reader{b: payload[:cut]}
	// Slices of regions and dims that grow would leave the commands with the
	// old ones: commands note lengths first.
	for len(r.b) > 0 && r.err == nil {
		if len(b.Cmds) == MaxCmds {
			return garbage("a batch of more than %d commands", MaxCmds)
		}
		c := Cmd{Op: driver.CmdOp(r.U8()), Value: r.U8()}
		switch c.Op {
		case driver.Run:
			c.Exec = r.U32()
			args, dims := uint64(r.U32()), uint64(r.U32())
			if r.err == nil && args*regionSize+dims*8 > uint64(len(r.b)) {
				return garbage("a run with %d arguments in %d bytes", args, len(r.b))
			}
			na, nd := len(b.regions), len(b.dims)
			for range args {
				b.regions = append(b.regions, r.region())
			}
			for range dims {
				b.dims = append(b.dims, r.I64())
			}
			c.Args, c.Dims = b.regions[na:], b.dims[nd:]
		case driver.Copy:
			c.Dst, c.Src = r.region(), r.region()
			c.Rows, c.DstStride, c.SrcStride = r.I64(), r.I64(), r.I64()
		case driver.Fill:
			c.Dst = r.region()
		case driver.Upload:
			c.Dst, c.Stage = r.region(), r.I64()
		case driver.Download:
			c.Src, c.Stage = r.region(), r.I64()
		default:
			return garbage("command %d", c.Op)
		}
		b.Cmds = append(b.Cmds, c)
	}
	if r.err != nil {
		return r.err
	}
	regions, dims := b.regions, b.dims
	for i := range b.Cmds {
		c := &b.Cmds[i]
		c.Args, regions = regions[:len(c.Args):len(c.Args)], regions[len(c.Args):]
		c.Dims, dims = dims[:len(c.Dims):len(c.Dims)], dims[len(c.Dims):]
	}
	return nil
}
