package arch

import (
	"errors"
	"fmt"
	"testing"

	"github.com/heddle-ml/heddle/graph"
	"github.com/stretchr/testify/require"
)

// names is a checkpoint that has tensors of these names, but not their
// values.
type names map[string]bool

func (n names) Has(name string) bool    { return n[name] }
func (n names) Sources() []graph.Source { return nil }
func (n names) Tensor(name string) (graph.Part, error) {
	return graph.Part{}, fmt.Errorf("%s: %w", name, errAbsent)
}

var errAbsent = errors.New("absent")

// having returns a checkpoint with one tensor, to tell untied heads.
func having(name ...string) names {
	n := names{}
	for _, x := range name {
		n[x] = true
	}
	return n
}

func read(t testing.TB, config string, w Weights) *Model {
	t.Helper()
	m, err := Read("config.json", []byte(config), w)
	require.NoError(t, err)
	return m
}
