package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf8"
)

const (
	lengthBytes = 8
	// maxHeader is the format's own limit on the JSON header.
	maxHeader   = 100_000_000
	metadataKey = "__metadata__"
)

// header is the checked content of a file's header.
type header struct {
	tensors  []Tensor // by offset, then name
	metadata map[string]string
}

// parse reads the header of a whole file. The returned tensors carry offsets
// from the start of data, each lying inside it.
func parse(data []byte) (header, error) {
	var h header
	size := uint64(len(data))
	if size < lengthBytes {
		return h, fmt.Errorf("%d bytes is too short for a header length (8 bytes): the file is truncated or no safetensors file", size)
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxHeader {
		return h, fmt.Errorf("header length %d exceeds the format's limit of %d bytes: no safetensors file, or damaged", n, maxHeader)
	}
	if n > size-lengthBytes {
		return h, fmt.Errorf("header length %d exceeds the %d bytes that follow it: the file is truncated or no safetensors file", n, size-lengthBytes)
	}
	text := data[lengthBytes : lengthBytes+n]
	if len(text) == 0 || text[0] != '{' {
		return h, errors.New("header does not begin with '{': no safetensors file, or damaged")
	}
	if !utf8.Valid(text) {
		return h, errors.New("header is not valid UTF-8: the file is damaged")
	}
	dec := newDecoder(text)
	err := object(dec, "header", func(name string) error {
		if name == metadataKey {
			h.metadata = map[string]string{}
			return object(dec, metadataKey, func(key string) error {
				value, err := stringValue(dec)
				if err != nil {
					return fmt.Errorf("%s %s: %w", metadataKey, clip(key), err)
				}
				h.metadata[key] = value
				return nil
			})
		}
		t, err := tensorInfo(dec, name)
		if err != nil {
			return fmt.Errorf("tensor %s: %w", clip(name), err)
		}
		h.tensors = append(h.tensors, t)
		return nil
	})
	if err != nil {
		return header{}, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return header{}, errors.New("header: something follows the JSON object: the file is damaged")
	}
	start := lengthBytes + n
	if err := layout(h.tensors, int64(start), int64(size-start)); err != nil {
		return header{}, err
	}
	return h, nil
}

// layout sorts tensors by offset, checks that they tile a data section of size
// bytes and makes their offsets absolute by adding start.
func layout(tensors []Tensor, start, size int64) error {
	slices.SortFunc(tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Length, b.Length), cmp.Compare(a.Name, b.Name))
	})
	var end int64
	previous := ""
	for i := range tensors {
		t := &tensors[i]
		if t.Offset > size || t.Length > size-t.Offset {
			return fmt.Errorf("tensor %s: data_offsets [%d, %d] exceed the %d bytes of data in the file: the file is truncated or damaged",
				clip(t.Name), t.Offset, t.Offset+t.Length, size)
		}
		switch {
		case t.Offset < end:
			return fmt.Errorf("tensor %s: data_offsets [%d, %d] overlap tensor %s, which ends at %d: the file is damaged",
				clip(t.Name), t.Offset, t.Offset+t.Length, clip(previous), end)
		case t.Offset > end:
			return fmt.Errorf("tensor %s: %d bytes before its offset %d belong to no tensor, which the format forbids: the file is damaged",
				clip(t.Name), t.Offset-end, t.Offset)
		}
		end = t.Offset + t.Length
		previous = t.Name
		t.Offset += start
	}
	if end != size {
		return fmt.Errorf("%d bytes after the last tensor belong to no tensor, which the format forbids: the file is damaged", size-end)
	}
	return nil
}

// tensorInfo reads the object that describes one tensor. Its Offset is still
// relative to the data section.
func tensorInfo(dec *json.Decoder, name string) (Tensor, error) {
	t := Tensor{Name: name}
	var begin, end int64
	var have struct{ dtype, shape, offsets bool }
	err := object(dec, "description", func(key string) error {
		switch key {
		case "dtype":
			s, err := stringValue(dec)
			if err != nil {
				return fmt.Errorf("dtype: %w", err)
			}
			t.DType, have.dtype = DType(s), true
			if t.DType.Size() == 0 {
				return fmt.Errorf("dtype %s is unknown: heddle reads F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL", clip(s))
			}
		case "shape":
			have.shape = true
			t.Shape = []int64{}
			return integers(dec, "shape", func(_ int, v int64) error {
				t.Shape = append(t.Shape, v)
				return nil
			})
		case "data_offsets":
			have.offsets = true
			count := 0
			err := integers(dec, "data_offsets", func(i int, v int64) error {
				switch i {
				case 0:
					begin = v
				case 1:
					end = v
				default:
					return errors.New("data_offsets has more than two numbers")
				}
				count++
				return nil
			})
			if err == nil && count != 2 {
				err = fmt.Errorf("data_offsets has %d numbers, want two", count)
			}
			return err
		default:
			return fmt.Errorf("unknown field %s", clip(key))
		}
		return nil
	})
	switch {
	case err != nil:
		return t, err
	case !have.dtype:
		return t, errors.New("field dtype is missing")
	case !have.shape:
		return t, errors.New("field shape is missing")
	case !have.offsets:
		return t, errors.New("field data_offsets is missing")
	case end < begin:
		return t, fmt.Errorf("data_offsets [%d, %d] end before they begin", begin, end)
	}
	want, err := byteLen(t.DType, t.Shape)
	if err != nil {
		return t, err
	}
	if end-begin != want {
		return t, fmt.Errorf("data_offsets [%d, %d] hold %d bytes, but %s of shape %v takes %d", begin, end, end-begin, t.DType, short(t.Shape), want)
	}
	t.Offset, t.Length = begin, want
	return t, nil
}

// byteLen returns the bytes of a tensor. A shape whose non-zero dimensions
// alone overflow is refused even if another dimension is zero, so that whoever
// multiplies dimensions of an open file, in whatever order, cannot overflow.
func byteLen(d DType, shape []int64) (int64, error) {
	total, empty := uint64(d.Size()), false
	for i, n := range shape {
		if n < 0 {
			return 0, fmt.Errorf("dimension %d of the shape is negative (%d)", i, n)
		}
		if n == 0 {
			empty = true
			continue
		}
		hi, lo := bits.Mul64(total, uint64(n))
		if hi != 0 || lo > 1<<62 {
			return 0, fmt.Errorf("shape %v overflows: no file can hold it", short(shape))
		}
		total = lo
	}
	if empty {
		return 0, nil
	}
	return int64(total), nil
}

// newDecoder returns a decoder that keeps numbers as text: sizes beyond 2^53
// must not pass through a float64.
func newDecoder(text []byte) *json.Decoder {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec
}

// object reads a JSON object and calls field after each key; field must read
// the value. Duplicate keys are refused: readers disagree on which one counts.
// encoding/json's own maps would silently keep the last.
func object(dec *json.Decoder, what string, field func(key string) error) error {
	if err := delim(dec, '{', what); err != nil {
		return err
	}
	seen := map[string]struct{}{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return fmt.Errorf("%s: %w", what, eof(err))
		}
		key, ok := tok.(string)
		if !ok {
			return fmt.Errorf("%s: key is no string", what)
		}
		if _, dup := seen[key]; dup {
			return fmt.Errorf("%s: %s appears twice", what, clip(key))
		}
		seen[key] = struct{}{}
		if err := field(key); err != nil {
			return err
		}
	}
	return delim(dec, '}', what)
}

func delim(dec *json.Decoder, want json.Delim, what string) error {
	tok, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%s: %w", what, eof(err))
	}
	if tok != want {
		return fmt.Errorf("%s: expected '%v'", what, want)
	}
	return nil
}

func stringValue(dec *json.Decoder) (string, error) {
	tok, err := dec.Token()
	if err != nil {
		return "", eof(err)
	}
	s, ok := tok.(string)
	if !ok {
		return "", errors.New("expected a string")
	}
	return s, nil
}

// integers reads an array of non-negative integers.
func integers(dec *json.Decoder, what string, add func(i int, v int64) error) error {
	if err := delim(dec, '[', what); err != nil {
		return err
	}
	for i := 0; dec.More(); i++ {
		tok, err := dec.Token()
		if err != nil {
			return fmt.Errorf("%s: %w", what, eof(err))
		}
		num, ok := tok.(json.Number)
		if !ok {
			return fmt.Errorf("%s: element %d is no number", what, i)
		}
		v, err := strconv.ParseInt(num.String(), 10, 64)
		if err != nil || v < 0 || num.String()[0] == '-' {
			return fmt.Errorf("%s: %s is no integer from 0 to 2^63-1", what, clip(num.String()))
		}
		if err := add(i, v); err != nil {
			return err
		}
	}
	return delim(dec, ']', what)
}

// eof turns the decoder's plain io.EOF inside a value into a reason.
func eof(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON ends too early: the file is damaged")
	}
	return fmt.Errorf("malformed JSON: %w", err)
}

// clip quotes a name from a file for an error message, bounded in length.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// short bounds a shape from a file for an error message.
func short(shape []int64) string {
	if len(shape) > 16 {
		return fmt.Sprintf("%v... (%d dimensions)", shape[:16], len(shape))
	}
	return fmt.Sprint(shape)
}
