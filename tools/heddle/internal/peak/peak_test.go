package peak

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRSS(t *testing.T) {
	before := RSS()
	require.Positive(t, before)
	held := make([]byte, 64<<20)
	for i := 0; i < len(held); i += 1 << 10 {
		held[i] = 1
	}
	after := RSS()
	require.GreaterOrEqual(t, after, before+32<<20, "memory that was touched counts")
	require.Less(t, after, int64(len(held))+before+1<<30)
	require.EqualValues(t, 1, held[0])
}
