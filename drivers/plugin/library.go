package plugin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"unsafe"

	"github.com/heddle-ml/heddle/drivers/internal/dl"
	"github.com/heddle-ml/heddle/hal/abi"
	"github.com/heddle-ml/heddle/hal/driver"
)

// library is a loaded library. It stays loaded: see package dl.
type library struct {
	path  string
	table abi.DriverTable // a copy, zero where the library's own is shorter
	mu    sync.Mutex      // held while a device is opened, and during calls about serial devices
}

var loaded struct {
	sync.Mutex
	libs map[string]*library
}

// load loads the library at path, once per process.
func load(path string) (*library, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("library %s: %w: %w", path, err, driver.ErrUnavailable)
	}
	loaded.Lock()
	defer loaded.Unlock()
	if l := loaded.libs[abs]; l != nil {
		return l, nil
	}
	l, err := loadNew(abs)
	if err != nil {
		return nil, fmt.Errorf("library %s: %w", path, err)
	}
	if loaded.libs == nil {
		loaded.libs = map[string]*library{}
	}
	loaded.libs[abs] = l
	return l, nil
}

func loadNew(path string) (*library, error) {
	if unsafe.Sizeof(uintptr(0)) != 8 || binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, fmt.Errorf("the C driver ABI is for 64-bit, little-endian machines: %w", driver.ErrUnavailable)
	}
	lib, err := dl.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, driver.ErrUnavailable)
	}
	get, ok := lib.Lookup(abi.EntryPoint)
	if !ok {
		return nil, fmt.Errorf("it does not export %s, so it is no heddle driver: %w", abi.EntryPoint, driver.ErrUnavailable)
	}
	l := &library{path: path}
	args := &abi.GetArgs{ABIMajor: abi.Major, ABIMinor: abi.Minor}
	if err := invoke(abi.EntryPoint, get, 0, args); err != nil {
		return nil, fmt.Errorf("%w: %w", err, driver.ErrUnavailable)
	}
	if err := l.read(args.Table); err != nil {
		return nil, err
	}
	return l, nil
}

// tableLimit bounds what a table claims to be: no version will have as many
// functions.
const tableLimit = 1 << 16

// read copies and checks the driver's table.
func (l *library) read(at uintptr) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("its table: %w: %w", fmt.Errorf(format, args...), driver.ErrUnavailable)
	}
	if at == 0 || at%8 != 0 {
		return bad("address %#x", at)
	}
	head := (*[4]uint32)(pointer(at)) // these 16 bytes are the same in all versions
	size, major, minor := uintptr(head[0]), head[1], head[2]
	if major != abi.Major {
		return bad("it speaks version %d.%d of the C driver ABI, this program version %d.%d: use a library for the same major version", major, minor, abi.Major, abi.Minor)
	}
	if size < 16 || size > tableLimit || size%8 != 0 {
		return bad("version %d.%d of %d bytes", major, minor, size)
	}
	whole := unsafe.Sizeof(l.table)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&l.table)), whole), unsafe.Slice((*byte)(pointer(at)), min(size, whole)))
	functions := unsafe.Slice((*uintptr)(unsafe.Pointer(&l.table.Info)), len(abi.Required))
	var missing []error
	for i, name := range abi.Required {
		if functions[i] == 0 {
			missing = append(missing, errors.New(name))
		}
	}
	if len(missing) > 0 {
		return bad("version %d.%d without functions that every driver has: %w", major, minor, errors.Join(missing...))
	}
	return nil
}

// pointer makes a pointer of an address that a library gave. It points outside
// of Go's heap, so the collector has no part in it.
func pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }
