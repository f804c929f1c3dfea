package ckpt_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/fstest"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/ckpt"
	"github.com/heddle-ml/heddle/models/ckpt/safetensors"
	"github.com/stretchr/testify/require"
)

var _ graph.Data = (*ckpt.Checkpoint)(nil)

func open(t testing.TB, path string) *ckpt.Checkpoint {
	t.Helper()
	c, err := ckpt.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// values reads a tensor of f32 or bf16 through what the checkpoint says of it.
func values(t testing.TB, c *ckpt.Checkpoint, name string) (graph.Part, []byte) {
	t.Helper()
	p, err := c.Tensor(name)
	require.NoError(t, err)
	data, err := c.Source(p.Source)
	require.NoError(t, err)
	n := int64(p.Elem.Bits() / 8)
	for _, d := range p.Shape {
		n *= d
	}
	return p, data[p.Offset : p.Offset+n]
}

func TestOpen(t *testing.T) {
	for name, want := range map[string]struct {
		files int
		elem  enc.Elem
	}{"llama_tiny": {1, enc.F32}, "llama_tiny_bf16_sharded": {3, enc.BF16}} {
		dir := shared.Golden(t, name)
		c := open(t, dir)
		require.Equal(t, dir, c.Name())
		require.Len(t, c.Sources(), want.files)
		set, err := safetensors.OpenSharded(dir)
		require.NoError(t, err)
		require.Equal(t, set.Names(), c.Names())
		for _, n := range c.Names() {
			require.True(t, c.Has(n))
			p, got := values(t, c, n)
			f, x, ok := set.Lookup(n)
			require.True(t, ok)
			require.Equal(t, want.elem, p.Elem)
			require.Equal(t, x.Shape, p.Shape)
			require.Equal(t, filepath.Base(f.Name()), p.Source)
			require.True(t, bytes.Equal(f.Bytes(x), got), n)
		}
		for i, s := range c.Sources() {
			data, err := c.Source(s.Name)
			require.NoError(t, err)
			require.Equal(t, int64(len(data)), s.Size)
			require.Len(t, s.ID, 32)
			require.True(t, i == 0 || c.Sources()[i-1].Name < s.Name)
		}
		require.NoError(t, set.Close())
	}
}

func TestFromFS(t *testing.T) {
	dir := shared.Golden(t, "qwen2_tiny")
	disk := open(t, dir)
	c, err := ckpt.FromFS("embedded", os.DirFS(dir))
	require.NoError(t, err)
	require.Equal(t, disk.Names(), c.Names())
	require.Equal(t, disk.Sources(), c.Sources(), "the same content is the same source, wherever it lies")
	config, err := c.ReadFile("config.json")
	require.NoError(t, err)
	require.Contains(t, string(config), "qwen2")
	require.Equal(t, filepath.Join("embedded", "config.json"), c.Path("config.json"))
	_, err = fs.Stat(c.FS(), "config.json")
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, c.Close(), "closing twice does nothing")

	_, err = ckpt.FromFS("embedded", fstest.MapFS{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, filepath.Join("embedded", "model.safetensors"))
}

// A weight file's descriptor reaches the bytes that Source gives, for those
// who map it themselves.
func TestFile(t *testing.T) {
	c := open(t, shared.Golden(t, "llama_tiny_bf16_sharded"))
	for _, s := range c.Sources() {
		want, err := c.Source(s.Name)
		require.NoError(t, err)
		fd, off, ok := c.File(s.Name)
		require.True(t, ok)
		require.Zero(t, off)
		link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			t.Skip("there is no /proc")
		}
		got, err := os.ReadFile(link)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, _, ok := c.File("no such file")
	require.False(t, ok)

	m, err := ckpt.FromFS("demo", os.DirFS(shared.Golden(t, "llama_tiny")))
	require.NoError(t, err)
	_, _, ok = m.File(m.Sources()[0].Name)
	require.False(t, ok, "it is in memory")
	require.NoError(t, m.Close())

	c = open(t, shared.Golden(t, "llama_tiny"))
	require.NoError(t, c.Close())
	_, _, ok = c.File(c.Sources()[0].Name)
	require.False(t, ok, "it is closed")
}

func TestMissing(t *testing.T) {
	c := open(t, shared.Golden(t, "llama_tiny"))
	_, err := c.Tensor("model.layers.99.mlp.up_proj.weight")
	require.ErrorIs(t, err, ckpt.ErrNoTensor)
	require.ErrorContains(t, err, "model.layers.99.mlp.up_proj.weight")
	require.False(t, c.Has("model.layers.99.mlp.up_proj.weight"))
	_, err = c.Source("other.safetensors")
	require.ErrorContains(t, err, "other.safetensors")
	_, err = c.ReadFile("tokenizer.json")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "ckpt: "+c.Path("tokenizer.json")+": no such file")
	_, err = c.ReadFile("../llama_tiny/config.json")
	require.ErrorIs(t, err, fs.ErrInvalid, "a file outside")

	for path, want := range map[string]string{
		filepath.Join(c.Name(), "nowhere"):     "no such file",
		filepath.Join(c.Name(), "config.json"): "is a file; want a folder",
		t.TempDir():                            "holds neither model.safetensors nor",
	} {
		_, err := ckpt.Open(path)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, path)
	}
}

// Small files are read whole: not pipes, which wait for a writer, nor what is
// too large to be one.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(shared.Golden(t, "llama_tiny"))))
	c := open(t, dir)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "tokenizer.json"), 0o755))
	_, err := c.ReadFile("tokenizer.json")
	require.ErrorContains(t, err, "tokenizer.json: not a regular file")
	if runtime.GOOS == "linux" {
		require.NoError(t, os.Symlink("/dev/zero", filepath.Join(dir, "added_tokens.json")))
		_, err = c.ReadFile("added_tokens.json")
		require.ErrorContains(t, err, "not a regular file")
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "big.json"), nil, 0o644))
	require.NoError(t, os.Truncate(filepath.Join(dir, "big.json"), 65<<20))
	_, err = c.ReadFile("big.json")
	require.ErrorContains(t, err, "68157440 bytes; at most 67108864 are read")
}

// file makes a weight file of the given tensors' values.
func file(t testing.TB, tensors map[string][]byte, order ...string) fstest.MapFS {
	t.Helper()
	var entries []safetensors.Entry
	for _, n := range order {
		b := tensors[n]
		entries = append(entries, safetensors.Entry{Name: n, DType: safetensors.F32, Shape: []int64{int64(len(b) / 4)}, Data: b})
	}
	var b bytes.Buffer
	require.NoError(t, safetensors.Write(&b, entries, nil))
	return fstest.MapFS{"model.safetensors": {Data: b.Bytes()}}
}

func id(t testing.TB, files fs.FS) string {
	t.Helper()
	c, err := ckpt.FromFS("x", files)
	require.NoError(t, err)
	defer c.Close()
	return c.Sources()[0].ID
}

// A source's ID is what caches of packed weights and plans go by: it changes
// with any byte of a small file, and with any tensor of a large one.
func TestIDs(t *testing.T) {
	small := map[string][]byte{"a": make([]byte, 4096), "b": make([]byte, 4096)}
	first := id(t, file(t, small, "a", "b"))
	require.Equal(t, first, id(t, file(t, small, "a", "b")))
	seen := map[string]string{first: "nothing changed"}
	differs := func(what string, files fs.FS) {
		t.Helper()
		x := id(t, files)
		require.Empty(t, seen[x], what)
		seen[x] = what
	}
	for _, at := range []int{0, 1777, 4095} {
		small["b"][at] = 1
		differs(fmt.Sprint("byte ", at), file(t, small, "a", "b"))
		small["b"][at] = 0
	}
	small["c"] = small["b"]
	differs("a name", file(t, small, "a", "c"))
	differs("a tensor less", file(t, small, "a"))

	large := map[string][]byte{}
	var order []string
	for i := range 200 {
		n := fmt.Sprintf("layer.%03d", i)
		large[n] = bytes.Repeat([]byte{byte(i)}, 100<<10)
		order = append(order, n)
	}
	differs("a large file", file(t, large, order...))
	for _, i := range []int{0, 101, 199} {
		b := large[order[i]]
		copy := bytes.Clone(b)
		for j := range b { // retrained: every value moves
			b[j] ^= 1
		}
		differs(order[i], file(t, large, order...))
		large[order[i]] = copy
	}
}

// The index decides which tensors there are and where: shards may lie in
// folders, under equal names, and hold what the index leaves out.
func TestIndexDecides(t *testing.T) {
	dir := t.TempDir()
	for i, folder := range []string{"one", "two"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, folder), 0o755))
		b := bytes.Repeat([]byte{byte(i + 1)}, 8)
		files := file(t, map[string][]byte{"both": b, folder: b}, "both", folder)
		require.NoError(t, os.WriteFile(filepath.Join(dir, folder, "m.safetensors"), files["model.safetensors"].Data, 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"),
		[]byte(`{"weight_map":{"both":"one/m.safetensors","two":"two/m.safetensors"}}`), 0o644))
	c := open(t, dir)
	require.Equal(t, []string{"both", "two"}, c.Names())
	require.Len(t, c.Sources(), 2)
	p, b := values(t, c, "both")
	require.Equal(t, "one/m.safetensors", p.Source)
	require.Equal(t, byte(1), b[0])
	p, b = values(t, c, "two")
	require.Equal(t, "two/m.safetensors", p.Source)
	require.Equal(t, byte(2), b[0])
}

// Types that no graph has are an error for whoever needs the tensor, not for
// who does not.
func TestOddTypes(t *testing.T) {
	header := []byte(`{"fp8":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},"ok":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}}`)
	data := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	data = append(append(data, header...), 0, 0, 0, 0)
	c, err := ckpt.FromFS("odd", fstest.MapFS{"model.safetensors": {Data: data}})
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, []string{"ok"}, c.Names())
	require.True(t, c.Has("fp8"))
	_, err = c.Tensor("ok")
	require.NoError(t, err)
	_, err = c.Tensor("fp8")
	require.ErrorContains(t, err, `tensor "fp8": element type F8_E4M3 is not supported: convert`)
	require.NotErrorIs(t, err, ckpt.ErrNoTensor)
}

func ExampleOpen() {
	c, err := ckpt.Open(filepath.Join(shared.Root(), "testdata", "golden", "llama_tiny"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	p, err := c.Tensor("model.norm.weight")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Source, p.Elem, p.Shape)
	// Output: model.safetensors f32 [64]
}
