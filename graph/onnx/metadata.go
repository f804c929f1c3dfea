package onnx

import (
	"encoding/json"
	"fmt"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
)

// The entries of metadata_props that Export writes and Import reads.
const (
	metaSymbols = "heddle.symbols" // JSON list of metaSymbol
	metaStates  = "heddle.states"  // JSON list of metaState
)

// metaSymbol bounds a dimension, for which ONNX has a name only.
type metaSymbol struct {
	Name    string  `json:"name"`
	Min     int64   `json:"min"`
	Max     int64   `json:"max"`
	Buckets []int64 `json:"buckets,omitempty"`
}

// metaState says that input In is a state, which output Out leaves; Out is
// empty for a state that is only read.
type metaState struct {
	In  string `json:"in"`
	Out string `json:"out,omitempty"`
}

// metadata reads what Export wrote.
func (im *importer) metadata(entries []pb.Entry) error {
	im.states, im.stateOuts = map[string]string{}, map[string]bool{}
	for _, e := range entries {
		switch e.Key {
		case metaSymbols:
			var list []metaSymbol
			if err := json.Unmarshal([]byte(e.Value), &list); err != nil {
				return fmt.Errorf("metadata %s: %w: %w", e.Key, ErrFormat, err)
			}
			if len(list) > maxParams {
				return fmt.Errorf("metadata %s: more than %d symbols: %w", e.Key, maxParams, ErrFormat)
			}
			for _, s := range list {
				im.symbols.described = append(im.symbols.described, dim.Symbol(s))
			}
		case metaStates:
			var list []metaState
			if err := json.Unmarshal([]byte(e.Value), &list); err != nil {
				return fmt.Errorf("metadata %s: %w: %w", e.Key, ErrFormat, err)
			}
			for _, s := range list {
				im.states[s.In] = s.Out
				im.stateOuts[s.Out] = true
			}
		}
	}
	return nil
}
