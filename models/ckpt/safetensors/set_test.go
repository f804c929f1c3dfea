package safetensors

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
)

func TestOpenShardedGolden(t *testing.T) {
	for _, tt := range []struct {
		folder string
		files  int
	}{{"llama_tiny", 1}, {"llama_tiny_bf16_sharded", 3}} {
		s, err := OpenSharded(shared.Golden(t, tt.folder))
		require.NoError(t, err)
		assert.Len(t, s.Files(), tt.files)
		assert.Len(t, s.Names(), 30)
		f, tensor, ok := s.Lookup("model.embed_tokens.weight")
		require.True(t, ok)
		assert.NotEmpty(t, f.Bytes(tensor))
		_, _, ok = s.Lookup("model.embed_tokens.weight2")
		assert.False(t, ok)
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())
	}
}

// folder writes files into a new folder; each shard holds U8 scalars.
func folder(t *testing.T, index string, shards map[string][]string) string {
	t.Helper()
	dir := t.TempDir()
	if index != "" {
		require.NoError(t, os.WriteFile(filepath.Join(dir, indexName), []byte(index), 0o600))
	}
	for name, tensors := range shards {
		var entries []Entry
		for i, n := range tensors {
			entries = append(entries, Entry{n, U8, nil, []byte{byte(i)}})
		}
		var buf bytes.Buffer
		require.NoError(t, Write(&buf, entries, nil))
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, buf.Bytes(), 0o600))
	}
	return dir
}

func TestOpenSharded(t *testing.T) {
	two := map[string][]string{"1.safetensors": {"a", "b"}, "sub/2.safetensors": {"b", "c"}}
	tests := []struct {
		name, index string
		shards      map[string][]string
		names       []string
		errs        []string
	}{
		{"index decides", `{"metadata":{"total_size":3},"weight_map":{"c":"sub/2.safetensors","a":"1.safetensors","b":"1.safetensors"}}`, two, []string{"a", "b", "c"}, nil},
		{"single file first", `{`, map[string][]string{"model.safetensors": {"x"}}, []string{"x"}, nil},
		{"nothing", ``, nil, nil, []string{"neither model.safetensors nor"}},
		{"missing shard", `{"weight_map":{"a":"1.safetensors","z":"3.safetensors"}}`, two, nil, []string{"3.safetensors", `"z"`, "missing shard"}},
		{"missing tensor", `{"weight_map":{"a":"1.safetensors","c":"1.safetensors"}}`, two, nil, []string{"1.safetensors", `"c"`, "promises"}},
		{"parent", `{"weight_map":{"a":"../1.safetensors"}}`, two, nil, []string{`"a"`, "inside the folder"}},
		{"sneaky parent", `{"weight_map":{"a":"sub/../../1.safetensors"}}`, two, nil, []string{"inside the folder"}},
		{"absolute", `{"weight_map":{"a":"/1.safetensors"}}`, two, nil, []string{"inside the folder"}},
		{"backslash", `{"weight_map":{"a":"..\\1.safetensors"}}`, two, nil, []string{"inside the folder"}},
		{"other file", `{"weight_map":{"a":"config.json"}}`, two, nil, []string{"inside the folder"}},
		{"no map", `{"metadata":{}}`, two, nil, []string{"weight_map is missing"}},
		{"map of numbers", `{"weight_map":{"a":1}}`, two, nil, []string{`"a"`, "expected a string"}},
		{"duplicate", `{"weight_map":{"a":"1.safetensors","a":"1.safetensors"}}`, two, nil, []string{`"a" appears twice`}},
		{"cut", `{"weight_map":{"a":"1.safe`, two, nil, []string{indexName, "too early"}},
		{"not JSON", `hello`, two, nil, []string{indexName, "malformed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := OpenSharded(folder(t, tt.index, tt.shards))
			if tt.errs == nil {
				require.NoError(t, err)
				assert.Equal(t, tt.names, s.Names())
				require.NoError(t, s.Close())
				return
			}
			require.Error(t, err)
			for _, want := range tt.errs {
				assert.Contains(t, err.Error(), want)
			}
		})
	}
}

func TestNewSetRefusesTheSameNameTwice(t *testing.T) {
	dir := folder(t, "", map[string][]string{"1.safetensors": {"a"}, "2.safetensors": {"a"}})
	var files []*File
	for _, n := range []string{"1.safetensors", "2.safetensors"} {
		f, err := Open(filepath.Join(dir, n))
		require.NoError(t, err)
		files = append(files, f)
	}
	_, err := NewSet(files...)
	require.ErrorContains(t, err, `"a" is in both`)
	assert.ErrorContains(t, err, "2.safetensors")
}
