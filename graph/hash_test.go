package graph

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Changing any one field changes the hash, unless it is a label.
func TestHash(t *testing.T) {
	g := sample(t)
	want := g.Hash()
	require.Equal(t, want, clone(t, g).Hash())
	label := func(path string) bool {
		if path == ".Name" {
			return true
		}
		for i := range g.Nodes {
			if path == ".Nodes["+strconv.Itoa(i)+"].Name" {
				return true
			}
		}
		for i := range g.Values {
			if path == ".Values["+strconv.Itoa(i)+"].Name" {
				return g.Values[i].Kind == Result || g.Values[i].Kind == Const
			}
		}
		return false
	}
	all := changed(t, g)
	require.Greater(t, len(all), 500)
	for path, h := range all {
		if label(path) {
			require.Equal(t, want, h.Hash(), path)
			continue
		}
		if err := Verify(h, fake{}); err != nil && strings.Contains(err.Error(), "of another kind") {
			continue // a field of an attribute that its kind does not use
		}
		require.NotEqual(t, want, h.Hash(), path)
	}
}
