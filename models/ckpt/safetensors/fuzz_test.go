package safetensors

import (
	"bytes"
	"testing"
)

// FuzzParse checks that whatever bytes are opened, the result is an error or a
// file whose tensors tile it.
func FuzzParse(f *testing.F) {
	f.Add(sample(f))
	f.Add(build(`{}`))
	f.Add(build(`{"__metadata__":{"a":"b"},"t":{"dtype":"F16","shape":[2,0],"data_offsets":[0,0]}}`))
	f.Add(build(`{"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1, 2))
	f.Add(build(`{"t":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`))
	f.Add(bytes.Repeat([]byte{0xff}, 16))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := New("fuzz", data)
		if err != nil {
			if len(err.Error()) > 2000 {
				t.Fatalf("error of %d bytes", len(err.Error()))
			}
			return
		}
		end := file.Size()
		for i := len(file.Tensors()) - 1; i >= 0; i-- {
			tensor := file.Tensors()[i]
			if tensor.Offset+tensor.Length != end {
				t.Fatalf("%q ends at %d, want %d", tensor.Name, tensor.Offset+tensor.Length, end)
			}
			end = tensor.Offset
			if int64(len(file.Bytes(tensor))) != tensor.Length {
				t.Fatalf("%q: %d bytes, want %d", tensor.Name, len(file.Bytes(tensor)), tensor.Length)
			}
			_, _ = file.Float32s(tensor)
			_, _ = file.Int64s(tensor)
		}
		var entries []Entry
		for _, tensor := range file.Tensors() {
			entries = append(entries, Entry{tensor.Name, tensor.DType, tensor.Shape, file.Bytes(tensor)})
		}
		var buf bytes.Buffer
		if err := Write(&buf, entries, file.Metadata()); err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
		again, err := New("again", buf.Bytes())
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if len(again.Tensors()) != len(file.Tensors()) {
			t.Fatal("tensors were lost")
		}
	})
}

// FuzzIndex checks that no index escapes its folder or crashes the reader.
func FuzzIndex(f *testing.F) {
	f.Add(`{"metadata":{"total_size":3},"weight_map":{"a":"1.safetensors"}}`)
	f.Add(`{"weight_map":{"a":"../1.safetensors"}}`)
	f.Add(`{"weight_map":{`)
	f.Add(`{"x":[[[[{}]]]],"weight_map":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := parseIndex([]byte(text))
		if err != nil {
			return
		}
		for _, e := range entries {
			if !insideName(e.shard) {
				t.Fatalf("shard %q accepted", e.shard)
			}
		}
	})
}
