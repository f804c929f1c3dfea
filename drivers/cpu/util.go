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

// physicalMemory returns the memory that the program may use, in bytes: the
// machine's, or what its control group allows; 0 when unknown.
func physicalMemory() int64 {
	total := int64(0)
	b, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err == nil && kb < math.MaxInt64>>10 {
				total = kb << 10
			}
		}
	}
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// Without a limit there is a word, or a number beyond all memory.
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 && (total == 0 || n < total) {
			total = n
		}
	}
	return total
}
