package oracle

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/internal/shared"
)

func readFloats(t *testing.T, path string) []float32 {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}

func TestGGUFBlocksBitForBit(t *testing.T) {
	dir := shared.Golden(t, "gguf_blocks")
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	require.NoError(t, err)
	var index struct {
		Dequantize []struct {
			Type, Data, Expected string
			Elements             int64
		}
	}
	require.NoError(t, json.Unmarshal(data, &index))
	seen := map[enc.Format]bool{}
	for _, c := range index.Dequantize {
		if c.Type == "F16" || c.Type == "BF16" {
			continue // element types: see TestTensorBytes
		}
		t.Run(c.Type, func(t *testing.T) {
			f, err := enc.ParseFormat(c.Type)
			require.NoError(t, err)
			seen[f] = true
			raw, err := os.ReadFile(filepath.Join(dir, c.Data))
			require.NoError(t, err)
			shape := []int64{c.Elements}
			v := &graph.Value{Name: "w", Kind: graph.Const, Def: -1,
				Type: graph.Type{Elem: enc.F32, Shape: graph.OfInts(enc.F32, shape...).Shape, Enc: enc.GGUF(f, 0)},
				Data: &graph.Weight{Parts: []graph.Part{{Inline: raw, Elem: enc.F32, Shape: shape, Enc: enc.GGUF(f, 0)}}}}
			got, err := Weight(v, nil, nil)
			require.NoError(t, err)
			for i, want := range readFloats(t, filepath.Join(dir, c.Expected)) {
				if math.Float32bits(float32(got.F[i])) != math.Float32bits(want) {
					t.Fatalf("element %d is %v, want %v", i, got.F[i], want)
				}
			}
		})
	}
	for _, f := range enc.Formats() {
		require.True(t, seen[f], "%s has no golden file", f)
	}
}

// The formats whose reference quantizer is a plain function.
func TestGGUFQuantizeBytes(t *testing.T) {
	dir := shared.Golden(t, "gguf_blocks")
	in := readFloats(t, filepath.Join(dir, "input.f32"))
	for _, f := range []enc.Format{enc.Q4_0, enc.Q8_0} {
		want, err := os.ReadFile(filepath.Join(dir, "quantize_"+f.String()+".bin"))
		require.NoError(t, err)
		var got []byte
		for i := 0; i < len(in); i += 32 {
			vals := make([]float64, 32)
			for j := range vals {
				vals[j] = float64(in[i+j])
			}
			b, err := encodeBlock(f, vals)
			require.NoError(t, err)
			got = append(got, b...)
		}
		require.Equal(t, want, got, f.String())
	}
}

// Quantizing what came from a block gives the same numbers: they are all
// representable. That checks the formats without golden bytes.
func TestGGUFQuantizeKeepsGridPoints(t *testing.T) {
	for _, f := range []enc.Format{enc.Q4_0, enc.Q4_1, enc.Q5_0, enc.Q5_1, enc.Q8_0} {
		vals := make([]float64, 32)
		codes := map[enc.Format]float64{enc.Q4_0: -8, enc.Q4_1: 0, enc.Q5_0: -16, enc.Q5_1: 0, enc.Q8_0: -127}
		top := map[enc.Format]int{enc.Q4_0: 16, enc.Q4_1: 16, enc.Q5_0: 32, enc.Q5_1: 32, enc.Q8_0: 255}[f]
		for i := range vals {
			vals[i] = 0.25 * (codes[f] + float64(i*7%top))
		}
		vals[5] = 0.25 * (codes[f] + float64(top-1))
		vals[0] = 0.25 * codes[f]
		want := append([]float64{}, vals...)
		require.NoError(t, recodeGroup(enc.GGUF(f, 0), vals))
		require.Equal(t, want, vals, f.String())
	}
	_, err := encodeBlock(enc.IQ4XS, make([]float64, 256))
	require.ErrorIs(t, err, ErrUnsupported)
}
