package graph

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph/dim"
)

// The binary form is one flat block without pointers: it serves the C driver
// interface, the isolated child process and cache keys alike. All numbers are
// little-endian. Sections follow each other without gaps other than zeros up
// to the next multiple of 16 bytes; fields are aligned, so that C reads them
// in place.
//
// Header, 440 bytes:
//
//	 0 u8[8] magic "HEDDLEGR"    8 u32 version, 1      12 u32 sections, 17
//	16 u64 size of the whole    24 str name of the graph
//	32 sections[17], 24 bytes each: {u64 offset, u64 count, u32 size of a record, u32 0}
//
// Readers step by a section's record size, so that a record can grow at its
// end. The sections, in this order:
//
//	 0 strings   bytes; each string is followed by a NUL that its length does not count, and is there once
//	 1 ints      i64: shapes, slices, permutations, buckets, lists of integers
//	 2 ids       i32: operands and results of nodes, -1 where omitted
//	 3 floats    f32: lists of floats
//	 4 strs      str: lists of strings
//	 5 dims      dimensions of values' shapes, symbolic integers
//	 6 symbols   7 sources   8 values   9 parts   10 nodes   11 attrs   12 tensors
//	13 inputs    i32: value
//	14 outputs  15 states
//	16 data      bytes that the graph carries; each tensor's begin at a multiple of 16 from the section's start
//
// In records, str is {u32 offset, u32 length} into strings, {0, 0} if empty;
// list is {u32 first, u32 count} of records of another section; span is {u64
// offset, u64 length} into data. Bytes between the fields are zero.
//
//	type    24: 0 u8 element type, 1 u8 encoding kind, 2 u8 stored type, 3 u8 scale type, 4 u8 block format, 5 u8 has zero points,
//	            8 i32 axis, 12 u32 block length, 16 list shape (of dims in a value, of ints in a part or tensor)
//	dim     16: 0 i64 value, 8 str text; a symbolic dimension has value -1 and a text such as "past+chunk", another no text
//	symbol  32: 0 str name, 8 i64 min, 16 i64 max, 24 list of ints (buckets)
//	source  24: 0 str name, 8 str id, 16 i64 size
//	value   64: 0 str name, 8 type, 32 u8 kind, 33 u8 flags (1: symbolic integers, 2: permutation), 36 i32 node or -1,
//	            40 list of parts, or of dims with flag 1, 48 list of ints (permutation), 56 i32 axis
//	part    88: 0 type, 24 i32 source or -1, 28 u32 flags (1: carries bytes, 2: slice), 32 i64 offset, 40 i64 scale offset,
//	            48 i64 zero offset, 56 span, 72 list of ints (start), 80 list of ints (size)
//	node    56: 0 str domain, 8 str operator, 16 str name, 24 list of ids (operands), 32 list of ids (results),
//	            40 list of attrs, 48 i32 version
//	attr    32: 0 str name, 8 u8 kind, 9 u8 element type, 12 f32 float, 16 i64 integer, 24 str (string), list of ints, floats
//	            or strs, or list of one tensor
//	tensor  40: 0 type, 24 span
//	output  16: 0 str name, 8 i32 value
//	state   16: 0 str name, 8 i32 first version, 12 i32 last version
//
// Kinds of values, encodings and attributes, element types and block formats
// have the numbers of the Go constants. A graph has exactly one binary form:
// each list and string begins where the one before it ended, and a reader that
// finds it otherwise refuses. So nothing is claimed that is not there.
const (
	binaryMagic   = "HEDDLEGR"
	binaryVersion = 1
	headerSize    = 32 + int(numSections)*24
	sectionAlign  = 16
	dataAlign     = 16
)

type sectionID int

const (
	secStrings sectionID = iota
	secInts
	secIDs
	secFloats
	secStrs
	secDims
	secSymbols
	secSources
	secValues
	secParts
	secNodes
	secAttrs
	secTensors
	secInputs
	secOutputs
	secStates
	secData
	numSections
)

var recordSize = [numSections]int{1, 8, 4, 4, 8, 16, 32, 24, 64, 88, 56, 32, 40, 4, 16, 16, 1}

// Marshal returns the binary form of g, which Unmarshal reads back to an
// equal graph. It is deterministic. A graph that Verify refuses may have none.
// It only reads g: several goroutines may marshal graphs that share slices.
func Marshal(g *Graph) ([]byte, error) {
	c := codec{offsets: map[string]uint32{}}
	head := section{}
	shallow := *g // records are written back; see records
	c.graph(rec{&c, &head}, &shallow)
	if c.err != nil {
		return nil, &Error{Graph: g.Name, Err: c.err}
	}
	out := make([]byte, headerSize)
	copy(out, binaryMagic)
	le := binary.LittleEndian
	le.PutUint32(out[8:], binaryVersion)
	le.PutUint32(out[12:], uint32(numSections))
	copy(out[24:], head.b)
	for i := range c.sec {
		out = append(out, make([]byte, -len(out)&(sectionAlign-1))...)
		h := out[32+i*24:]
		le.PutUint64(h, uint64(len(out)))
		le.PutUint64(h[8:], uint64(len(c.sec[i].b)/recordSize[i]))
		le.PutUint32(h[16:], uint32(recordSize[i]))
		out = append(out, c.sec[i].b...)
	}
	le.PutUint64(out[16:], uint64(len(out)))
	return out, nil
}

// Unmarshal reads the binary form and checks the graph with Verify. The data
// may come from a hostile file; the graph keeps no reference to it.
func Unmarshal(data []byte, s Schemas) (*Graph, error) {
	g := &Graph{}
	c, head, err := openSections(data)
	if err == nil {
		c.graph(rec{c, head}, g)
		err = c.finish()
	}
	if err != nil {
		return nil, fmt.Errorf("graph binary form: %w: %w", ErrInvalid, err)
	}
	if err := Verify(g, s); err != nil {
		return nil, err
	}
	return g, nil
}

func openSections(data []byte) (*codec, *section, error) {
	le := binary.LittleEndian
	switch {
	case len(data) < headerSize || string(data[:8]) != binaryMagic:
		return nil, nil, fmt.Errorf("%d bytes without its header of %d bytes", len(data), headerSize)
	case le.Uint32(data[8:]) != binaryVersion || le.Uint32(data[12:]) != uint32(numSections):
		return nil, nil, fmt.Errorf("version %d; this program reads version %d: write it anew", le.Uint32(data[8:]), binaryVersion)
	case le.Uint64(data[16:]) != uint64(len(data)):
		return nil, nil, fmt.Errorf("%d bytes, its header says %d: truncated or padded", len(data), le.Uint64(data[16:]))
	}
	c := &codec{reading: true, offsets: map[string]uint32{}, strs: map[uint32]string{}, dims: map[string]dim.Dim{}}
	at := headerSize
	for i := range c.sec {
		h := data[32+i*24:]
		start := at + -at&(sectionAlign-1)
		count, size := le.Uint64(h[8:]), uint64(recordSize[i])
		switch {
		case le.Uint64(h) != uint64(start) || start > len(data) || !isZero(data[at:start]):
			return nil, nil, fmt.Errorf("section %d begins at %d, not right behind the one before, at %d", i, le.Uint64(h), start)
		case le.Uint32(h[16:]) != uint32(size) || le.Uint32(h[20:]) != 0:
			return nil, nil, fmt.Errorf("section %d has records of %d bytes, not %d", i, le.Uint32(h[16:]), size)
		case count > uint64(len(data)-start)/size:
			return nil, nil, fmt.Errorf("section %d of %d records does not fit", i, count)
		}
		at = start + int(count*size)
		c.sec[i].b = data[start:at]
	}
	if at != len(data) {
		return nil, nil, fmt.Errorf("%d bytes follow the last section", len(data)-at)
	}
	c.text = string(c.sec[secStrings].b)
	return c, &section{b: data[24:32]}, nil
}

// codec writes sections or reads them; one description of the records serves
// both. The first error sticks; afterwards everything reads as zero.
type codec struct {
	reading bool
	sec     [numSections]section
	err     error

	offsets map[string]uint32  // of strings seen so far
	strs    map[uint32]string  // the same, when reading
	text    string             // all strings, when reading
	dims    map[string]dim.Dim // by text, when reading
	sources map[string]int32
	names   []string // of sources
}

// section is the bytes of a section: those written so far, or those to read,
// of which at have been read.
type section struct {
	b  []byte
	at int
}

// rec reads or writes the fields of one record, in order.
type rec struct {
	c *codec
	s *section
}

func (c *codec) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// finish checks that everything has been read.
func (c *codec) finish() error {
	for i := range c.sec {
		if c.err == nil && c.sec[i].at != len(c.sec[i].b) {
			c.fail("section %d has %d bytes that nothing refers to", i, len(c.sec[i].b)-c.sec[i].at)
		}
	}
	return c.err
}

// bits reads or writes an unsigned field of n bytes.
func (r rec) bits(v uint64, n int) uint64 {
	if r.c.err != nil {
		return 0
	}
	var buf [8]byte
	if r.c.reading {
		if r.s.at+n > len(r.s.b) {
			r.c.fail("a record is cut off")
			return 0
		}
		copy(buf[:], r.s.b[r.s.at:r.s.at+n])
		r.s.at += n
		return binary.LittleEndian.Uint64(buf[:])
	}
	binary.LittleEndian.PutUint64(buf[:], v)
	r.s.b = append(r.s.b, buf[:n]...)
	return v
}

func (r rec) u8(v uint8) uint8    { return uint8(r.bits(uint64(v), 1)) }
func (r rec) u32(v uint32) uint32 { return uint32(r.bits(uint64(v), 4)) }
func (r rec) i64(v int64) int64   { return int64(r.bits(uint64(v), 8)) }

// i32 carries an int in 32 bits.
func (r rec) i32(v int) int {
	if v != int(int32(v)) {
		r.c.fail("number %d does not fit in 32 bits", v)
	}
	return int(int32(r.u32(uint32(v))))
}

// flag carries a bool in a byte.
func (r rec) flag(v bool) bool {
	var b uint8
	if v {
		b = 1
	}
	if b = r.u8(b); b > 1 {
		r.c.fail("byte %d is no boolean", b)
	}
	return b == 1
}

// pad skips n bytes, which are zero.
func (r rec) pad(n int) {
	if r.bits(0, n) != 0 {
		r.c.fail("reserved bytes are not zero")
	}
}

func (r rec) str(s string) string {
	c, sec := r.c, &r.c.sec[secStrings]
	if !c.reading {
		off, known := c.offsets[s]
		if s != "" && !known {
			if uint64(len(sec.b)+len(s)) >= math.MaxUint32 {
				c.fail("strings of more than 4 GiB")
				return ""
			}
			off = uint32(len(sec.b))
			c.offsets[s] = off
			sec.b = append(append(sec.b, s...), 0)
		}
		r.u32(off)
		r.u32(uint32(len(s)))
		return s
	}
	off, n := int(r.u32(0)), int(r.u32(0))
	switch s, known := c.strs[uint32(off)]; {
	case c.err != nil || off == 0 && n == 0:
		return ""
	case known && len(s) == n:
		return s
	case known || off != sec.at || n == 0 || n >= len(c.text)-off || c.text[off+n] != 0:
		c.fail("string %d+%d is not where it belongs", off, n)
		return ""
	}
	s = c.text[off : off+n]
	if _, twice := c.offsets[s]; twice {
		c.fail("string %.64q is stored twice", s)
		return ""
	}
	c.offsets[s], c.strs[uint32(off)] = uint32(off), s
	sec.at += n + 1
	return s
}

// span carries bytes in section data.
func (r rec) span(b []byte) []byte {
	sec := &r.c.sec[secData]
	if !r.c.reading {
		sec.b = append(sec.b, make([]byte, -len(sec.b)&(dataAlign-1))...)
		r.i64(int64(len(sec.b)))
		r.i64(int64(len(b)))
		sec.b = append(sec.b, b...)
		return b
	}
	off, n := uint64(r.i64(0)), uint64(r.i64(0))
	start := sec.at + -sec.at&(dataAlign-1)
	if r.c.err != nil {
		return nil
	}
	if start > len(sec.b) || off != uint64(start) || n > uint64(len(sec.b)-start) || !isZero(sec.b[sec.at:start]) {
		r.c.fail("bytes %d+%d are not where they belong", off, n)
		return nil
	}
	sec.at = start + int(n)
	return append(make([]byte, 0, n), sec.b[start:sec.at]...)
}

func isZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// listOf carries xs as records of section id, each by f. An empty list reads as
// nil.
func listOf[T any](r rec, id sectionID, xs []T, f func(rec, *T)) []T {
	sec := &r.c.sec[id]
	done := len(sec.b)
	if r.c.reading {
		done = sec.at
	}
	first, count := r.u32(uint32(done/recordSize[id])), r.u32(uint32(len(xs)))
	if r.c.reading && r.c.err == nil && (int(first)*recordSize[id] != sec.at || int(count) > (len(sec.b)-sec.at)/recordSize[id]) {
		r.c.fail("list %d+%d of section %d is not where it belongs", first, count, id)
	}
	return records(r.c, id, xs, int(count), f)
}

// records carries xs as count records of section id.
func records[T any](c *codec, id sectionID, xs []T, count int, f func(rec, *T)) []T {
	if c.err != nil {
		return nil
	}
	if c.reading {
		xs = nil
		if count > 0 {
			xs = make([]T, count)
		}
	} else {
		if len(c.sec[id].b)/recordSize[id]+len(xs) > math.MaxInt32 {
			c.fail("section %d has more than 2^31 records", id)
		}
		// Each f writes back what it has carried, here into a copy: graphs
		// share the lists of their parts, and others may be reading them.
		xs = slices.Clone(xs)
	}
	for i := range xs {
		if c.err != nil {
			return nil
		}
		f(rec{c, &c.sec[id]}, &xs[i])
	}
	return xs
}

// all carries xs as the whole of section id.
func all[T any](c *codec, id sectionID, xs []T, f func(rec, *T)) []T {
	return records(c, id, xs, len(c.sec[id].b)/recordSize[id], f)
}
