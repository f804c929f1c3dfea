package img_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/models/img"
)

func sum(p []uint8) string {
	s := sha256.Sum256(p)
	return hex.EncodeToString(s[:])
}

// TestPillow decodes pictures of every format and mode and compares with what
// Pillow made of them: its exif_transpose, then convert("RGB").
func TestPillow(t *testing.T) {
	dir := filepath.Join("testdata", "pictures")
	var want map[string]struct {
		W, H   int
		SHA256 string
	}
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &want))
	require.Len(t, want, 95)
	for name, w := range want {
		t.Run(name, func(t *testing.T) {
			p, err := img.Open(filepath.Join(dir, name), img.Limits{})
			require.NoError(t, err)
			require.Equal(t, [2]int{w.W, w.H}, [2]int{p.W, p.H})
			base, isJPEG := strings.CutSuffix(name, ".jpg")
			if !isJPEG {
				require.Equal(t, w.SHA256, sum(p.Pix))
				return
			}
			// Another inverse cosine transform: close, not equal. Chroma that is
			// repeated instead of interpolated would differ by 6 in the mean.
			q, err := img.Open(filepath.Join(dir, base+".expected.png"), img.Limits{})
			require.NoError(t, err)
			require.Equal(t, w.SHA256, sum(q.Pix))
			total, worst := 0, 0
			for i := range p.Pix {
				d := int(p.Pix[i]) - int(q.Pix[i])
				total += max(d, -d)
				worst = max(worst, d, -d)
			}
			mean := float64(total) / float64(len(p.Pix))
			require.LessOrEqual(t, mean, 0.25)
			require.LessOrEqual(t, worst, 3)
		})
	}
}
