package cpu

import (
	"math"
	"os"
	"strconv"
	"strings"
	"unsafe"
)

var minusInf = float32(math.Inf(-1))

// alignedBytes allocates bytes that start at a multiple of blockAlign.
func alignedBytes(n int) []byte {
	raw := make([]byte, n+blockAlign)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(raw))) % blockAlign)
	return raw[skip : skip+n : skip+n]
}

// floatBytes views floats as bytes.
func floatBytes(f []float32) []byte {
	if len(f) == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(f))), 4*len(f))
}

// physicalMemory returns the machine's memory in bytes, 0 when unknown.
func physicalMemory() int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err == nil {
				return kb << 10
			}
		}
	}
	return 0
}
