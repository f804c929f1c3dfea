package isolate_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/isolate"
)

// Thousands of sessions with mutated frames neither crash a host nor hang it.
func TestMutatedFrames(t *testing.T) {
	n := 500
	if os.Getenv("HEDDLE_FULL") != "" {
		n = 10_000
	} else if testing.Short() {
		n = 50
	}
	for name, n := range map[string]int{"cpu": n, "null": n, "fake": n / 5} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
			defer cancel()
			in, _ := hal.Default.Driver(name)
			start := time.Now()
			rep, err := isolate.Attack(ctx, name, "0", in, isolate.Options{}, weighted(t, "w", 50), inMemory{"w": make([]byte, 200)}, n, 1)
			require.NoError(t, err)
			require.Equal(t, n, rep.Sessions)
			if n >= 50 { // of few sessions all may be broken off
				require.Greater(t, rep.Refused, n/10)
				require.Less(t, rep.Refused, n*19/20)
			}
			t.Logf("%d sessions in %v, %d ended early", rep.Sessions, time.Since(start).Round(time.Millisecond), rep.Refused)
		})
	}
}
