package suite

import (
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// flush replaces denormal numbers by zeros of the same sign: a device that has
// none is not given any, since 1/x or x > 0 would tell.
func flush(t *oracle.Tensor) {
	least := map[enc.Elem]float64{enc.F16: 0x1p-14, enc.BF16: 0x1p-126, enc.F32: 0x1p-126, enc.F64: 0x1p-1022}[t.Elem]
	for i, v := range t.F {
		if math.Abs(v) < least {
			t.F[i] = math.Copysign(0, v)
		}
	}
}
