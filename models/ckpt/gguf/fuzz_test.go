package gguf

import "testing"

// FuzzParse: whatever the bytes, Parse returns, and what it accepts can be
// read in full.
func FuzzParse(f *testing.F) {
	full := sample(3)
	f.Add(full)
	f.Add(sample(2))
	f.Add(full[:len(full)/2])
	f.Add(preamble(3, 1<<60, 1<<60).b)
	f.Add(preamble(3, 1, 0).tensor(tensorSpec{"t", []uint64{256, 1}, Q4_K, 0}).data(32, 144))
	f.Add(preamble(3, 0, 1).key("a", KindArray).u32(uint32(KindArray)).u64(1 << 40).b)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			return
		}
		for _, key := range file.Keys() {
			if _, err := file.Value(key); err != nil {
				t.Fatal(err)
			}
			kind, elem, n, err := file.KindOf(key)
			if err != nil {
				t.Fatal(err)
			}
			if kind == KindArray && elem == KindString {
				if s, err := file.Strings(key); err != nil || len(s) != n {
					t.Fatalf("%d strings of %d: %v", len(s), n, err)
				}
			}
			_, _ = file.Ints(key)
			_, _ = file.Floats(key)
			_, _ = file.Float(key)
		}
		for _, ten := range file.Tensors() {
			if got := file.Data(ten); int64(len(got)) != ten.Size {
				t.Fatalf("%q: %d bytes, want %d", ten.Name, len(got), ten.Size)
			}
		}
	})
}
