package safetensors

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
)

// build returns a file with the given header text and data.
func build(head string, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	return append(append(b, head...), data...)
}

func zeros(n int) []byte { return make([]byte, n) }

func TestParseAccepts(t *testing.T) {
	tests := []struct {
		name string
		file []byte
		want []Tensor
		meta map[string]string
	}{
		{"no tensors", build(`{}`), nil, nil},
		{"metadata only", build(`{"__metadata__":{"a":"b","c":""}}`), nil, map[string]string{"a": "b", "c": ""}},
		{
			"sorted by offset, scalar, empty, padding",
			build(`{"b":{"dtype":"F32","shape":[],"data_offsets":[6,10]},"a":{"shape":[1,3],"data_offsets":[0,6],"dtype":"BF16"},"e":{"dtype":"I8","shape":[0,5],"data_offsets":[6,6]}}   `, zeros(10)...),
			[]Tensor{{"a", BF16, []int64{1, 3}, 0, 6}, {"e", I8, []int64{0, 5}, 6, 0}, {"b", F32, []int64{}, 6, 4}},
			nil,
		},
		{"f8 opens", build(`{"q":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}`, 1, 2), []Tensor{{"q", F8E4M3, []int64{2}, 0, 2}}, nil},
		{"escaped name", build(`{"\u00e9\"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 7), []Tensor{{"é\"", U8, []int64{1}, 0, 1}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := New("x.safetensors", tt.file)
			require.NoError(t, err)
			start := int64(8 + binary.LittleEndian.Uint64(tt.file))
			for i := range tt.want {
				tt.want[i].Offset += start
			}
			assert.Equal(t, tt.want, f.Tensors())
			for _, w := range tt.want {
				got, ok := f.Lookup(w.Name)
				assert.True(t, ok)
				assert.Equal(t, w, got)
				assert.Len(t, f.Bytes(got), int(w.Length))
			}
			if tt.meta == nil {
				tt.meta = map[string]string{}
			}
			assert.Equal(t, tt.meta, f.Metadata())
		})
	}
}

func TestParseRefuses(t *testing.T) {
	one := func(info string, data int) []byte { return build(`{"t":`+info+`}`, zeros(data)...) }
	tests := []struct {
		name, want string
		file       []byte
	}{
		{"empty", "too short", nil},
		{"seven bytes", "too short", zeros(7)},
		{"absurd length", "limit of 100000000", append(bytes.Repeat([]byte{0xff}, 8), '{', '}')},
		{"length beyond file", "exceeds the 2 bytes", append([]byte{3, 0, 0, 0, 0, 0, 0, 0}, "{}"...)},
		{"empty header", "begin with '{'", zeros(8)},
		{"leading space", "begin with '{'", build(` {}`)},
		{"array", "begin with '{'", build(`[]`)},
		{"cut JSON", "ends too early", build(`{"t":{"dtype":"U8"`)},
		{"bad UTF-8", "UTF-8", build("{\"\xff\":1}")},
		{"two objects", "follows", build(`{}{}`)},
		{"garbage after", "follows", build(`{} x`)},
		{"duplicate tensor", `"t" appears twice`, build(`{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 0)},
		{"duplicate by escape", `appears twice`, build(`{"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0074":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`)},
		{"duplicate field", `"dtype" appears twice`, one(`{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}`, 1)},
		{"duplicate metadata", `"k" appears twice`, build(`{"__metadata__":{"k":"1","k":"2"}}`)},
		{"metadata number", "expected a string", build(`{"__metadata__":{"k":1}}`)},
		{"metadata list", "expected '{'", build(`{"__metadata__":[]}`)},
		{"tensor is a number", "expected '{'", one(`3`, 0)},
		{"unknown field", `unknown field "x"`, one(`{"x":1,"dtype":"U8","shape":[1],"data_offsets":[0,1]}`, 1)},
		{"no dtype", "dtype is missing", one(`{"shape":[1],"data_offsets":[0,1]}`, 1)},
		{"no shape", "shape is missing", one(`{"dtype":"U8","data_offsets":[0,1]}`, 1)},
		{"no offsets", "data_offsets is missing", one(`{"dtype":"U8","shape":[1]}`, 1)},
		{"unknown dtype", `dtype "F7" is unknown`, one(`{"dtype":"F7","shape":[1],"data_offsets":[0,1]}`, 1)},
		{"three offsets", "more than two", one(`{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}`, 1)},
		{"one offset", "has 1 numbers", one(`{"dtype":"U8","shape":[1],"data_offsets":[0]}`, 1)},
		{"offsets reversed", "end before", one(`{"dtype":"U8","shape":[1],"data_offsets":[1,0]}`, 1)},
		{"negative dimension", "no integer", one(`{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}`, 1)},
		{"minus zero", "no integer", one(`{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}`, 0)},
		{"fraction", "no integer", one(`{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}`, 1)},
		{"exponent", "no integer", one(`{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}`, 1)},
		{"beyond int64", "no integer", one(`{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}`, 1)},
		{"string dimension", "no number", one(`{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}`, 1)},
		{"product overflows", "overflows", one(`{"dtype":"U8","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]}`, 0)},
		{"size overflows", "overflows", one(`{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]}`, 0)},
		{"overflow hidden by zero", "overflows", one(`{"dtype":"U8","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}`, 0)},
		{"too few bytes", "takes 8", one(`{"dtype":"F32","shape":[2],"data_offsets":[0,7]}`, 7)},
		{"too many bytes", "takes 8", one(`{"dtype":"F32","shape":[2],"data_offsets":[0,9]}`, 9)},
		{"beyond the data", "exceed the 3 bytes", one(`{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`, 3)},
		{"far beyond", "exceed", one(`{"dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]}`, 1)},
		{"hole at start", "no tensor", one(`{"dtype":"U8","shape":[1],"data_offsets":[1,2]}`, 2)},
		{"tail", "2 bytes after", one(`{"dtype":"U8","shape":[1],"data_offsets":[0,1]}`, 3)},
		{"overlap", "overlap", build(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 0, 0, 0)},
		{"same extent", "overlap", build(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 0, 0)},
		{"deep nesting", "expected '{'", build(`{"a":` + strings.Repeat("[", 100000))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New("bad.safetensors", tt.file)
			require.Error(t, err)
			assert.Contains(t, err.Error(), tt.want)
			assert.Contains(t, err.Error(), "bad.safetensors")
			assert.Less(t, len(err.Error()), 1000)
		})
	}
}

func sample(t testing.TB) []byte {
	var buf bytes.Buffer
	require.NoError(t, Write(&buf, []Entry{
		{"b.weight", U8, []int64{3}, []byte{1, 2, 3}},
		{"a.weight", F32, []int64{2, 1}, []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}},
		{"ids", I64, nil, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"empty", F16, []int64{0}, nil},
	}, map[string]string{"format": "pt", "note": "<&>"}))
	return buf.Bytes()
}

func TestEveryPrefixFails(t *testing.T) {
	whole := sample(t)
	_, err := New("whole", whole)
	require.NoError(t, err)
	for n := range whole {
		_, err := New("prefix", whole[:n:n])
		require.Error(t, err, "prefix of %d bytes", n)
	}
}

// A header may claim terabytes; opening must not reserve them.
func TestClaimsAllocateNothing(t *testing.T) {
	file := build(`{"t":{"dtype":"F64","shape":[4294967296,256],"data_offsets":[0,8796093022208]}}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := New("liar", file)
	runtime.ReadMemStats(&after)
	require.ErrorContains(t, err, "exceed the 0 bytes")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestWriteRoundTrip(t *testing.T) {
	whole := sample(t)
	f, err := New("x", whole)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"format": "pt", "note": "<&>"}, f.Metadata())
	assert.Contains(t, string(whole), "<&>")
	var order []string
	for _, tensor := range f.Tensors() {
		order = append(order, tensor.Name)
		assert.Zero(t, tensor.Offset%int64(tensor.DType.Size()), "%s is misaligned", tensor.Name)
	}
	assert.Equal(t, []string{"ids", "a.weight", "empty", "b.weight"}, order)

	a, _ := f.Lookup("a.weight")
	v, err := f.Float32s(a)
	require.NoError(t, err)
	assert.Equal(t, []float32{1, -2}, v)
	ids, _ := f.Lookup("ids")
	n, err := f.Int64s(ids)
	require.NoError(t, err)
	assert.Equal(t, []int64{-2}, n)

	// Writing what was read, in another order, gives the same bytes.
	var entries []Entry
	for _, tensor := range f.Tensors() {
		entries = append([]Entry{{tensor.Name, tensor.DType, tensor.Shape, f.Bytes(tensor)}}, entries...)
	}
	var again bytes.Buffer
	require.NoError(t, Write(&again, entries, f.Metadata()))
	assert.Equal(t, whole, again.Bytes())
}

func TestWriteEmpty(t *testing.T) {
	for _, meta := range []map[string]string{nil, {}} {
		var buf bytes.Buffer
		require.NoError(t, Write(&buf, nil, meta))
		_, err := New("empty", buf.Bytes())
		require.NoError(t, err)
	}
}

func TestWriteRefuses(t *testing.T) {
	tests := []struct {
		want    string
		entries []Entry
		meta    map[string]string
	}{
		{"twice", []Entry{{"a", U8, nil, zeros(1)}, {"a", U8, nil, zeros(1)}}, nil},
		{"reserved", []Entry{{"__metadata__", U8, nil, zeros(1)}}, nil},
		{"UTF-8", []Entry{{"\xff", U8, nil, zeros(1)}}, nil},
		{"unknown", []Entry{{"a", "F7", nil, zeros(1)}}, nil},
		{"takes 4", []Entry{{"a", F32, nil, zeros(1)}}, nil},
		{"negative", []Entry{{"a", F32, []int64{-1}, nil}}, nil},
		{"UTF-8", nil, map[string]string{"\xff": ""}},
	}
	for _, tt := range tests {
		var buf bytes.Buffer
		err := Write(&buf, tt.entries, tt.meta)
		require.ErrorContains(t, err, tt.want)
		assert.Zero(t, buf.Len())
	}
}

func TestValues(t *testing.T) {
	le := binary.LittleEndian
	u16 := func(v ...uint16) (b []byte) {
		for _, x := range v {
			b = le.AppendUint16(b, x)
		}
		return b
	}
	inf := float32(math.Inf(1))
	floats := []struct {
		d    DType
		data []byte
		want []float32
	}{
		{F64, le.AppendUint64(nil, math.Float64bits(-0.1)), []float32{-0.1}},
		{F16, u16(0x3c00, 0xc000, 0x0001, 0x8000, 0x7c00, 0x7bff, 0x03ff, 0x0400), []float32{1, -2, 0x1p-24, float32(math.Copysign(0, -1)), inf, 65504, 1023 * 0x1p-24, 0x1p-14}},
		{BF16, u16(0x3f80, 0xff80), []float32{1, -inf}},
	}
	for _, tt := range floats {
		v, err := value(t, tt.d, tt.data, (*File).Float32s)
		require.NoError(t, err)
		require.Len(t, v, len(tt.want))
		for i := range v {
			assert.Equal(t, math.Float32bits(tt.want[i]), math.Float32bits(v[i]), "%s element %d", tt.d, i)
		}
	}
	nan, err := value(t, F16, u16(0x7e01), (*File).Float32s)
	require.NoError(t, err)
	assert.True(t, nan[0] != nan[0])

	ints := []struct {
		d    DType
		data []byte
		want []int64
	}{
		{I32, []byte{0xff, 0xff, 0xff, 0xff}, []int64{-1}},
		{I16, u16(0x8000), []int64{-32768}},
		{I8, []byte{0x80, 1}, []int64{-128, 1}},
		{U64, []byte{1, 0, 0, 0, 0, 0, 0, 0}, []int64{1}},
		{U32, []byte{0xff, 0xff, 0xff, 0xff}, []int64{math.MaxUint32}},
		{U16, u16(0x8000), []int64{32768}},
		{U8, []byte{255}, []int64{255}},
		{Bool, []byte{1, 0}, []int64{1, 0}},
	}
	for _, tt := range ints {
		v, err := value(t, tt.d, tt.data, (*File).Int64s)
		require.NoError(t, err)
		assert.Equal(t, tt.want, v, tt.d)
	}
	_, err = value(t, U64, bytes.Repeat([]byte{0xff}, 8), (*File).Int64s)
	require.ErrorContains(t, err, "exceeds")
	_, err = value(t, F32, zeros(4), (*File).Int64s)
	require.ErrorContains(t, err, "want integers")
	_, err = value(t, I32, zeros(4), (*File).Float32s)
	require.ErrorContains(t, err, "want floating point")
	_, err = value(t, F8E5M2, zeros(1), (*File).Float32s)
	require.ErrorContains(t, err, "convert the checkpoint")
}

// value writes one tensor, reads it back and interprets it.
func value[T any](t *testing.T, d DType, data []byte, read func(*File, Tensor) (T, error)) (T, error) {
	t.Helper()
	var buf bytes.Buffer
	require.NoError(t, Write(&buf, []Entry{{"t", d, []int64{int64(len(data) / d.Size())}, data}}, nil))
	f, err := New("x", buf.Bytes())
	require.NoError(t, err)
	return read(f, f.Tensors()[0])
}

func TestOpenAndClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	require.NoError(t, os.WriteFile(path, sample(t), 0o600))
	f, err := Open(path)
	require.NoError(t, err)
	tensor, _ := f.Lookup("b.weight")
	assert.Equal(t, []byte{1, 2, 3}, f.Bytes(tensor))
	assert.Nil(t, f.Bytes(Tensor{Offset: f.Size(), Length: 1}))
	assert.Nil(t, f.Bytes(Tensor{Offset: math.MaxInt64, Length: math.MaxInt64}))
	assert.Nil(t, f.Bytes(Tensor{Offset: -1, Length: 1}))
	require.NoError(t, f.Close())
	require.NoError(t, f.Close())
	assert.Nil(t, f.Bytes(tensor))
	_, err = f.Float32s(Tensor{DType: F32, Offset: 8, Length: 4})
	assert.ErrorContains(t, err, "closed")
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(filepath.Join(dir, "none.safetensors"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, "none.safetensors")
	_, err = Open(dir)
	assert.ErrorContains(t, err, "not a regular file")
	empty := filepath.Join(dir, "empty.safetensors")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	_, err = Open(empty)
	assert.ErrorContains(t, err, "truncated")
}

// Every checkpoint of the repository opens, as its own tools wrote it.
func TestGoldenFiles(t *testing.T) {
	count := 0
	for _, root := range []string{shared.Golden(t, ""), filepath.Join(shared.Root(), "models", "demo")} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".safetensors" {
				return err
			}
			count++
			f, err := Open(path)
			if err != nil {
				return err
			}
			assert.NotEmpty(t, f.Tensors(), path)
			return f.Close()
		})
		require.NoError(t, err)
	}
	assert.Greater(t, count, 40)
}
