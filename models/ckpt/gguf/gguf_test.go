package gguf

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/stretchr/testify/require"
)

// builder writes GGUF bytes for tests, right or wrong ones alike.
type builder struct{ b []byte }

func (w *builder) u32(x uint32) *builder { w.b = binary.LittleEndian.AppendUint32(w.b, x); return w }
func (w *builder) u64(x uint64) *builder { w.b = binary.LittleEndian.AppendUint64(w.b, x); return w }
func (w *builder) raw(b ...byte) *builder {
	w.b = append(w.b, b...)
	return w
}
func (w *builder) str(s string) *builder {
	w.u64(uint64(len(s)))
	w.b = append(w.b, s...)
	return w
}
func (w *builder) key(name string, kind Kind) *builder { return w.str(name).u32(uint32(kind)) }

func preamble(version uint32, tensors, keys uint64) *builder {
	w := &builder{b: []byte("GGUF")}
	return w.u32(version).u64(tensors).u64(keys)
}

type tensorSpec struct {
	name   string
	dims   []uint64
	typ    Type
	offset uint64
}

func (w *builder) tensor(t tensorSpec) *builder {
	w.str(t.name).u32(uint32(len(t.dims)))
	for _, d := range t.dims {
		w.u64(d)
	}
	return w.u32(uint32(t.typ)).u64(t.offset)
}

// data pads to the alignment and appends n bytes 1, 2, 3, ...
func (w *builder) data(align, n int) []byte {
	for len(w.b)%align != 0 {
		w.b = append(w.b, 0)
	}
	for i := range n {
		w.b = append(w.b, byte(i+1))
	}
	return w.b
}

// sample is a file with one value of each kind and two tensors.
func sample(version uint32) []byte {
	w := preamble(version, 2, 17)
	w.key("general.alignment", KindUint32).u32(64)
	w.key("u8", KindUint8).raw(200)
	w.key("i8", KindInt8).raw(0x80)
	w.key("u16", KindUint16).raw(0xff, 0xff)
	w.key("i16", KindInt16).raw(0xff, 0xff)
	w.key("u32", KindUint32).u32(math.MaxUint32)
	w.key("i32", KindInt32).u32(math.MaxUint32)
	w.key("f32", KindFloat32).u32(math.Float32bits(1.5))
	w.key("bool", KindBool).raw(1)
	w.key("string", KindString).str("héllo")
	w.key("u64", KindUint64).u64(math.MaxUint64)
	w.key("i64", KindInt64).u64(1 << 63)
	w.key("f64", KindFloat64).u64(math.Float64bits(-0.25))
	w.key("strings", KindArray).u32(uint32(KindString)).u64(3).str("a").str("").str("ccc")
	w.key("ints", KindArray).u32(uint32(KindInt16)).u64(2).raw(1, 0, 0xfe, 0xff)
	w.key("floats", KindArray).u32(uint32(KindFloat32)).u64(1).u32(math.Float32bits(3))
	w.key("nested", KindArray).u32(uint32(KindArray)).u64(2).
		u32(uint32(KindBool)).u64(1).raw(1).
		u32(uint32(KindString)).u64(2).str("x").str("y")
	w.tensor(tensorSpec{"w", []uint64{32, 2}, Q8_0, 64})
	w.tensor(tensorSpec{"b", []uint64{3}, F32, 0})
	return w.data(64, 64+68)
}

func TestParse(t *testing.T) {
	for _, version := range []uint32{2, 3} {
		f, err := Parse(sample(version))
		require.NoError(t, err)
		require.Equal(t, int(version), f.Version())
		require.EqualValues(t, 64, f.Alignment())
		require.Zero(t, f.DataStart()%64)
		require.Len(t, f.Keys(), 17)
		require.Equal(t, "u8", f.Keys()[1])

		w, ok := f.Tensor("w")
		require.True(t, ok)
		require.Equal(t, Tensor{"w", []int64{32, 2}, Q8_0, f.DataStart() + 64, 68}, w)
		require.EqualValues(t, 64, w.Elements())
		require.EqualValues(t, 65, f.Data(w)[0])
		require.Len(t, f.Data(w), 68)
		b, _ := f.Tensor("b")
		require.EqualValues(t, 12, b.Size)
		require.Equal(t, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, f.Data(b))
		_, ok = f.Tensor("absent")
		require.False(t, ok)
	}
}

func TestGetters(t *testing.T) {
	f, err := Parse(sample(3))
	require.NoError(t, err)

	for key, want := range map[string]int64{"u8": 200, "i8": -128, "u16": 65535, "i16": -1, "u32": math.MaxUint32, "i32": -1, "i64": math.MinInt64} {
		got, err := f.Int(key)
		require.NoError(t, err, key)
		require.Equal(t, want, got, key)
	}
	u, err := f.Uint("u64")
	require.NoError(t, err)
	require.EqualValues(t, uint64(math.MaxUint64), u)
	x, err := f.Float("f32")
	require.NoError(t, err)
	require.Equal(t, 1.5, x)
	x, err = f.Float("f64")
	require.NoError(t, err)
	require.Equal(t, -0.25, x)
	x, err = f.Float("i16")
	require.NoError(t, err)
	require.Equal(t, -1.0, x)
	b, err := f.Bool("bool")
	require.NoError(t, err)
	require.True(t, b)
	s, err := f.String("string")
	require.NoError(t, err)
	require.Equal(t, "héllo", s)
	ss, err := f.Strings("strings")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "", "ccc"}, ss)
	is, err := f.Ints("ints")
	require.NoError(t, err)
	require.Equal(t, []int64{1, -2}, is)
	fs, err := f.Floats("floats")
	require.NoError(t, err)
	require.Equal(t, []float64{3}, fs)
	fs, err = f.Floats("ints")
	require.NoError(t, err)
	require.Equal(t, []float64{1, -2}, fs)

	for key, want := range map[string]any{
		"u8": int64(200), "u64": uint64(math.MaxUint64), "i64": int64(math.MinInt64), "f32": 1.5, "bool": true, "string": "héllo",
		"strings": []any{"a", "", "ccc"}, "ints": []any{int64(1), int64(-2)},
		"nested": []any{[]any{true}, []any{"x", "y"}},
	} {
		got, err := f.Value(key)
		require.NoError(t, err, key)
		require.Equal(t, want, got, key)
	}
	kind, elem, n, err := f.KindOf("strings")
	require.NoError(t, err)
	require.Equal(t, []any{KindArray, KindString, 3}, []any{kind, elem, n})
}

func TestGetterErrorsNameTheKey(t *testing.T) {
	f, err := Parse(sample(3))
	require.NoError(t, err)
	for name, call := range map[string]func(string) error{
		"absent":  func(k string) error { _, err := f.Uint(k); return err },
		"string":  func(k string) error { _, err := f.Uint(k); return err },
		"i8":      func(k string) error { _, err := f.Uint(k); return err },
		"u64":     func(k string) error { _, err := f.Int(k); return err },
		"bool":    func(k string) error { _, err := f.Float(k); return err },
		"u8":      func(k string) error { _, err := f.Bool(k); return err },
		"ints":    func(k string) error { _, err := f.Strings(k); return err },
		"strings": func(k string) error { _, err := f.Ints(k); return err },
		"nested":  func(k string) error { _, err := f.Floats(k); return err },
		"f32":     func(k string) error { _, err := f.String(k); return err },
	} {
		err := call(name)
		require.ErrorContains(t, err, `"`+name+`"`)
		require.Equal(t, name == "absent", errors.Is(err, ErrNoKey))
	}
}

func TestRefused(t *testing.T) {
	one := func(s tensorSpec) []byte { return preamble(3, 1, 0).tensor(s).data(32, 64) }
	two := func(a, b tensorSpec) []byte { return preamble(3, 2, 0).tensor(a).tensor(b).data(32, 256) }
	bigEndian := binary.BigEndian.AppendUint32([]byte("GGUF"), 3)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":           {nil, "not a GGUF file"},
		"other file":      {[]byte("PK\x03\x04 whatever it may be"), `want "GGUF"`},
		"version 1":       {preamble(1, 0, 0).b, "version 1"},
		"version 9":       {preamble(9, 0, 0).b, "version 9"},
		"big endian":      {append(bigEndian, make([]byte, 16)...), "big endian"},
		"lying keys":      {preamble(3, 0, 1<<60).key("a", KindUint8).raw(1).b, "metadata entry 1 of 1152921504606846976"},
		"lying tensors":   {preamble(3, 1<<60, 0).b, "tensor 0 of 1152921504606846976"},
		"lying string":    {preamble(3, 0, 1).u64(1 << 62).b, "ends early"},
		"lying array":     {preamble(3, 0, 1).key("a", KindArray).u32(uint32(KindUint64)).u64(1 << 62).b, `"a"`},
		"lying strings":   {preamble(3, 0, 1).key("a", KindArray).u32(uint32(KindString)).u64(1 << 62).b, `"a"`},
		"unknown kind":    {preamble(3, 0, 1).key("a", 13).raw(1).b, "metadata type 13"},
		"unknown element": {preamble(3, 0, 1).key("a", KindArray).u32(99).u64(0).b, "metadata type 99"},
		"repeated key":    {preamble(3, 0, 2).key("a", KindUint8).raw(1).key("a", KindUint8).raw(1).b, `"a" occurs twice`},
		"empty key":       {preamble(3, 0, 1).key("", KindUint8).raw(1).b, "empty"},
		"alignment 0":     {preamble(3, 0, 1).key("general.alignment", KindUint32).u32(0).b, "general.alignment"},
		"alignment 24":    {preamble(3, 0, 1).key("general.alignment", KindUint32).u32(24).b, "power of two"},
		"alignment text":  {preamble(3, 0, 1).key("general.alignment", KindString).str("32").b, "general.alignment"},
		"no dimensions":   {one(tensorSpec{"t", nil, F32, 0}), "0 dimensions"},
		"five dimensions": {one(tensorSpec{"t", []uint64{1, 1, 1, 1, 1}, F32, 0}), "5 dimensions"},
		"zero dimension":  {one(tensorSpec{"t", []uint64{4, 0}, F32, 0}), "dimension 1 is 0"},
		"huge dimension":  {one(tensorSpec{"t", []uint64{1 << 63}, F32, 0}), "dimension 0"},
		"overflow":        {one(tensorSpec{"t", []uint64{1 << 40, 1 << 40}, F32, 0}), "too large"},
		"overflow to 64":  {one(tensorSpec{"t", []uint64{1 << 61}, F32, 0}), "too large"},
		"unknown type":    {one(tensorSpec{"t", []uint64{4}, 4, 0}), "type 4 is not a known element format"},
		"broken blocks":   {one(tensorSpec{"t", []uint64{48, 2}, Q4_0, 0}), "whole Q4_0 blocks of 32"},
		"unnamed tensor":  {one(tensorSpec{"", []uint64{4}, F32, 0}), "empty"},
		"misaligned":      {one(tensorSpec{"t", []uint64{4}, F32, 8}), "alignment 32"},
		"past the end":    {one(tensorSpec{"t", []uint64{17}, F32, 0}), "past the end"},
		"far away":        {one(tensorSpec{"t", []uint64{4}, F32, 1 << 62}), "past the end"},
		"offset overflow": {one(tensorSpec{"t", []uint64{4}, F32, 1<<63 + 32}), "out of range"},
		"repeated tensor": {two(tensorSpec{"t", []uint64{4}, F32, 0}, tensorSpec{"t", []uint64{4}, F32, 32}), "occurs twice"},
		"overlap":         {two(tensorSpec{"s", []uint64{9}, F32, 0}, tensorSpec{"t", []uint64{4}, F32, 32}), "overlap"},
		"same place":      {two(tensorSpec{"s", []uint64{1}, F32, 32}, tensorSpec{"t", []uint64{4}, F32, 32}), `"s" and "t" overlap`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(c.data)
			require.ErrorContains(t, err, c.want)
		})
	}
	deep := preamble(3, 0, 1).key("a", KindArray)
	for range 1000 {
		deep.u32(uint32(KindArray)).u64(1)
	}
	_, err := Parse(deep.b)
	require.ErrorContains(t, err, "nested")
}

// Every beginning of a valid file is an error: what is missing is noticed
// wherever the file was cut.
func TestTruncated(t *testing.T) {
	full := sample(3)
	_, err := Parse(full)
	require.NoError(t, err)
	for n := range len(full) {
		_, err := Parse(full[:n:n])
		require.Error(t, err, "%d of %d bytes", n, len(full))
	}
}

func TestLyingCountsCostNothing(t *testing.T) {
	data := preamble(3, 1<<60, 1<<60).key("a", KindArray).u32(uint32(KindString)).u64(1 << 60).b
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Parse(data)
	runtime.ReadMemStats(&after)
	require.Error(t, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<16))
}

func TestTypeTable(t *testing.T) {
	names := map[string]bool{}
	for typ, l := range layouts {
		require.False(t, names[l.name], l.name)
		names[l.name] = true
		block, size := typ.Block()
		require.Positive(t, block)
		require.Positive(t, size)
		require.Equal(t, l.name, typ.String())
	}
	block, size := Type(4).Block()
	require.Zero(t, block+size)
	require.Equal(t, "type 4", Type(4).String())
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.gguf")
	require.NoError(t, os.WriteFile(path, sample(3), 0o600))
	f, err := Open(path)
	require.NoError(t, err)
	require.Equal(t, path, f.Path())
	w, _ := f.Tensor("w")
	require.EqualValues(t, 65, f.Data(w)[0])
	require.NoError(t, f.Close())
	require.NoError(t, f.Close())
	require.Nil(t, f.Data(w))
	_, err = f.String("string")
	require.ErrorContains(t, err, "closed")

	_, err = Open(filepath.Join(dir, "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Open(dir)
	require.ErrorContains(t, err, "not a regular file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = Open(path)
	require.ErrorContains(t, err, path)
}

// The golden models were written by ggml's own writer.
func TestGoldenModels(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(shared.Golden(t, "gguf_models"), "*.gguf"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		f, err := Open(path)
		require.NoError(t, err)
		info, err := os.Stat(path)
		require.NoError(t, err)
		arch, err := f.String("general.architecture")
		require.NoError(t, err)
		if arch != "clip" {
			blocks, err := f.Uint(arch + ".block_count")
			require.NoError(t, err)
			require.NotZero(t, blocks)
		}
		// The tensors fill the data but for padding: a wrong block size in the
		// table would leave a hole or an overlap.
		var used int64
		for _, ten := range f.Tensors() {
			used += (ten.Size + f.Alignment() - 1) &^ (f.Alignment() - 1)
		}
		require.InDelta(t, info.Size()-f.DataStart(), used, float64(f.Alignment()), path)
		for _, key := range f.Keys() {
			_, err := f.Value(key)
			require.NoError(t, err)
		}
		require.NoError(t, f.Close())
	}
}

func TestVocabularyOnlyFiles(t *testing.T) {
	dir := shared.Dir(t, "golden/tokenizers")
	for name, want := range map[string]int{"deepseek-llm": 102400, "gpt-2": 50257, "llama-spm": 32000} {
		f, err := Open(filepath.Join(dir, "ggml-vocab-"+name+".gguf"))
		require.NoError(t, err)
		tokens, err := f.Strings("tokenizer.ggml.tokens")
		require.NoError(t, err)
		require.Len(t, tokens, want)
		require.Empty(t, f.Tensors())
		require.NoError(t, f.Close())
		require.False(t, strings.ContainsRune(tokens[want-1], 0))
	}
}
