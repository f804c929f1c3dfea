package check_test

import (
	"encoding/binary"
	"math"
)

// perturb adds 1e-3 to a float32 in the middle.
func perturb(data []byte) {
	at := len(data) / 8 * 4
	v := math.Float32frombits(binary.LittleEndian.Uint32(data[at:]))
	binary.LittleEndian.PutUint32(data[at:], math.Float32bits(v+1e-3))
}
