package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Version is that of the protocol. Hosts and clients of different versions
// refuse each other, with both versions named; only [Hello] and its reply keep their form.
const Version = 1

// Magic begins the payload of Hello.
const Magic = "HEDDLE-ISOLATE\r\n"

// Sizes in bytes.
const (
	HeaderSize = 64
	// MaxInline is the largest payload that a frame carries itself. It fits
	// the smallest socket buffer that kernels are built with.
	MaxInline = 48 << 10
	// MaxFrame is the largest message.
	MaxFrame = HeaderSize + MaxInline
	// MaxPayload bounds a payload in a memory file and a whole reply.
	MaxPayload = 1 << 31
)

// Window is how many batches of one queue may be on their way.
const Window = 128

// Kind tells what a frame says.
type Kind uint16

// The calls, each answered by one Reply (in one or more frames), and what is
// said without an answer. A, B and C are the header's fields.
const (
	Hello      Kind = iota + 1 // payload: Greeting
	Probe                      // reply: JSON of []driver.DeviceInfo
	Open                       // payload: OpenRequest; reply: Opened
	Supports                   // payload: graph; reply: verdicts
	Alloc                      // A: memory, B: heap, C: size; with a file: memory shared through it
	Import                     // A: memory, B: 1 for a DMA buffer, C: size; a file
	Free                       // A: memory
	Compile                    // A: executable; payload: Compilation; reply: Program
	CompileSet                 // A: first executable, B: how many; payload: Compilation; reply: as many Programs
	Load                       // A: executable; payload: Compilation with a blob; reply: Program
	Save                       // A: executable; reply: blob
	Judge                      // payload: blob; reply: one byte
	Footprint                  // A: executable; reply: JSON
	CloseExec                  // A: executable
	Estimate                   // payload: estimate request; reply: 8 bytes float64 and one byte ok
	NewQueue                   // A: queue; payload: JSON of driver.QueueOptions
	CloseQueue                 // A: queue; the reply follows the Done of every batch
	Bye                        // closes the device; the host ends after the reply

	// Not answered.
	Cancel // ID: the call that is given up
	Source // A: source, B: offset in the file, C: size; a file
	Stage  // A: stage, C: size; a file
	Drop   // A: source or stage, B: 1 for a stage
	Submit // ID: number of the batch, A: queue, B: stage, C: how many dependencies end the payload; payload: Batch
	Ping

	// From the host.
	Reply // ID: the call; Code; payload
	Done  // ID: number of the batch, A: queue; Code; payload: failure
	Pong

	numKinds
)

var kindNames = [...]string{"", "hello", "probe", "open", "supports", "alloc", "import", "free", "compile", "compile set", "load", "save", "judge", "footprint",
	"close executable", "estimate", "new queue", "close queue", "bye", "cancel", "source", "stage", "drop", "submit", "ping", "reply", "done", "pong"}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k > 0 {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint16(k))
}

// IsCall reports whether a Reply answers the kind.
func (k Kind) IsCall() bool { return k >= Hello && k <= Bye }

// Flags of a frame.
const (
	More   uint16 = 1 << iota // the reply goes on in the next frame of this ID
	InFile                    // the payload lies in the attached file
)

// Frame is one message. Payload points into the buffer it was read from.
type Frame struct {
	Kind    Kind
	Flags   uint16
	Code    Code
	ID      uint64
	A, B, C uint64
	// FileSize is the payload's size where it is InFile.
	FileSize uint64
	Payload  []byte
}

// frameMagic begins each frame, so that what is no frame is noticed.
const frameMagic = 0x314c5348 // "HSL1"

// ErrGarbage is wrapped by errors about bytes that are no valid message.
var ErrGarbage = errors.New("not a valid message")

func garbage(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrGarbage)
}

// AppendHeader appends the header of f, for a payload that follows it.
//
//	0 u32 magic  4 u16 kind  6 u16 flags  8 u32 payload  12 u32 code  16 u64 id  24 a  32 b  40 c  48 u64 file size  56 u64 zero
func (f *Frame) AppendHeader(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, frameMagic)
	b = le.AppendUint16(b, uint16(f.Kind))
	b = le.AppendUint16(b, f.Flags)
	b = le.AppendUint32(b, uint32(len(f.Payload)))
	b = le.AppendUint32(b, uint32(f.Code))
	for _, v := range [...]uint64{f.ID, f.A, f.B, f.C, f.FileSize, 0} {
		b = le.AppendUint64(b, v)
	}
	return b
}

// Append appends the frame.
func (f *Frame) Append(b []byte) []byte { return append(f.AppendHeader(b), f.Payload...) }

// Decode reads the frame that is the whole of b.
func (f *Frame) Decode(b []byte) error {
	le := binary.LittleEndian
	if len(b) < HeaderSize {
		return garbage("a frame of %d bytes", len(b))
	}
	if m := le.Uint32(b); m != frameMagic {
		return garbage("a frame that begins with %#x", m)
	}
	*f = Frame{Kind: Kind(le.Uint16(b[4:])), Flags: le.Uint16(b[6:]), Code: Code(le.Uint32(b[12:])), ID: le.Uint64(b[16:]),
		A: le.Uint64(b[24:]), B: le.Uint64(b[32:]), C: le.Uint64(b[40:]), FileSize: le.Uint64(b[48:])}
	switch n := le.Uint32(b[8:]); {
	case f.Kind == 0 || f.Kind >= numKinds:
		return garbage("a frame of kind %d", f.Kind)
	case f.Flags&^(More|InFile) != 0 || le.Uint64(b[56:]) != 0:
		return garbage("a frame with unknown flags %#x", f.Flags)
	case uint64(n) != uint64(len(b)-HeaderSize) || n > MaxInline:
		return garbage("a frame of %d bytes with a payload of %d", len(b), n)
	case f.FileSize > MaxPayload || f.FileSize != 0 && f.Flags&InFile == 0 || n != 0 && f.Flags&InFile != 0:
		return garbage("a frame with %d bytes in a file", f.FileSize)
	}
	f.Payload = b[HeaderSize:]
	return nil
}
