package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Entry is one tensor to be written.
type Entry struct {
	Name  string
	DType DType
	Shape []int64 // outermost first; empty for a scalar
	Data  []byte  // little-endian, row-major, exactly as long as type and shape say
}

// Write writes a safetensors file. The result depends on the entries and the
// metadata only, not on their order: tensors are laid out by falling element
// size, then by name, so that each is aligned to its element, and the data
// section begins at a multiple of 8. Nothing is written if an entry is wrong.
func Write(w io.Writer, entries []Entry, metadata map[string]string) error {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(b.DType.Size(), a.DType.Size()), cmp.Compare(a.Name, b.Name))
	})
	head, err := encodeHeader(sorted, metadata)
	if err != nil {
		return fmt.Errorf("safetensors: write: %w", err)
	}
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("safetensors: write header: %w", err)
	}
	for _, e := range sorted {
		if _, err := w.Write(e.Data); err != nil {
			return fmt.Errorf("safetensors: write tensor %s: %w", clip(e.Name), err)
		}
	}
	return nil
}

// encodeHeader returns the length and the JSON of the header, padded with
// spaces to a multiple of 8.
func encodeHeader(sorted []Entry, metadata map[string]string) ([]byte, error) {
	buf := bytes.NewBuffer(make([]byte, lengthBytes))
	buf.WriteByte('{')
	if metadata != nil {
		if err := encodeMetadata(buf, metadata); err != nil {
			return nil, err
		}
	}
	names := make(map[string]struct{}, len(sorted))
	var offset int64
	for i, e := range sorted {
		if _, dup := names[e.Name]; dup {
			return nil, fmt.Errorf("tensor %s appears twice", clip(e.Name))
		}
		names[e.Name] = struct{}{}
		if e.Name == metadataKey || !utf8.ValidString(e.Name) {
			return nil, fmt.Errorf("tensor %s: the name is reserved or not valid UTF-8", clip(e.Name))
		}
		if e.DType.Size() == 0 {
			return nil, fmt.Errorf("tensor %s: element type %s is unknown", clip(e.Name), clip(string(e.DType)))
		}
		want, err := byteLen(e.DType, e.Shape)
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", clip(e.Name), err)
		}
		if int64(len(e.Data)) != want {
			return nil, fmt.Errorf("tensor %s: %d bytes of data, but %s of shape %v takes %d", clip(e.Name), len(e.Data), e.DType, short(e.Shape), want)
		}
		if i > 0 || metadata != nil {
			buf.WriteByte(',')
		}
		writeString(buf, e.Name)
		fmt.Fprintf(buf, `:{"dtype":"%s","shape":[`, e.DType)
		for j, n := range e.Shape {
			if j > 0 {
				buf.WriteByte(',')
			}
			buf.WriteString(strconv.FormatInt(n, 10))
		}
		fmt.Fprintf(buf, `],"data_offsets":[%d,%d]}`, offset, offset+want)
		offset += want
	}
	buf.WriteByte('}')
	for buf.Len()%8 != 0 {
		buf.WriteByte(' ')
	}
	if buf.Len()-lengthBytes > maxHeader {
		return nil, fmt.Errorf("header takes %d bytes, the format allows %d", buf.Len()-lengthBytes, maxHeader)
	}
	head := buf.Bytes()
	binary.LittleEndian.PutUint64(head, uint64(len(head)-lengthBytes))
	return head, nil
}

func encodeMetadata(buf *bytes.Buffer, metadata map[string]string) error {
	writeString(buf, metadataKey)
	buf.WriteString(":{")
	for i, key := range slices.Sorted(maps.Keys(metadata)) {
		if !utf8.ValidString(key) || !utf8.ValidString(metadata[key]) {
			return fmt.Errorf("metadata %s is not valid UTF-8", clip(key))
		}
		if i > 0 {
			buf.WriteByte(',')
		}
		writeString(buf, key)
		buf.WriteByte(':')
		writeString(buf, metadata[key])
	}
	buf.WriteByte('}')
	return nil
}

// writeString writes a JSON string without escaping <, > and &, which have no
// special meaning here.
func writeString(buf *bytes.Buffer, s string) {
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	// Encoding a valid string into a buffer cannot fail.
	_ = enc.Encode(s)
	buf.Truncate(buf.Len() - 1) // Encode appends a newline
}
