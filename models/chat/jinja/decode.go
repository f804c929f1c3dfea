package jinja

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// maxJSONDepth bounds the nesting that DecodeJSON accepts.
const maxJSONDepth = 500

// DecodeJSON reads one JSON value, keeping the order of objects and the exact
// text of numbers: objects become [Object], arrays []any, numbers json.Number.
// Of a key that appears twice the last value counts, as in Python.
func DecodeJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := decodeValue(dec, maxJSONDepth)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("malformed JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("malformed JSON: something follows the value at byte %d", dec.InputOffset())
	}
	return v, nil
}

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	if depth == 0 {
		return nil, fmt.Errorf("nested deeper than %d levels", maxJSONDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('['):
		out := []any{}
		for dec.More() {
			v, err := decodeValue(dec, depth-1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		_, err := dec.Token()
		return out, err
	case json.Delim('{'):
		out := Object{}
		seen := map[string]int{}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			name, ok := key.(string)
			if !ok {
				return nil, fmt.Errorf("key %v is no string", key)
			}
			v, err := decodeValue(dec, depth-1)
			if err != nil {
				return nil, err
			}
			if i, dup := seen[name]; dup {
				out[i].Value = v
				continue
			}
			seen[name] = len(out)
			out = append(out, Field{name, v})
		}
		_, err := dec.Token()
		return out, err
	}
	if d, ok := tok.(json.Delim); ok {
		return nil, fmt.Errorf("unexpected '%v'", d)
	}
	return tok, nil
}
