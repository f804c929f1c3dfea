package mutate

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/ops"
)

func TestSeeds(t *testing.T) {
	require.Less(t, len(Seeds(true)), len(Seeds(false)))
	for _, s := range Seeds(false) {
		b, err := graph.Marshal(s.Graph)
		require.NoError(t, err)
		back, err := graph.Unmarshal(b, ops.Standard)
		require.NoError(t, err)
		require.Equal(t, s.Graph.String(), back.String())
		require.Equal(t, s.Graph, Clone(s.Graph))
		for i := range s.Graph.Values {
			if v := &s.Graph.Values[i]; v.Kind == graph.Const && v.Data.Dims == nil {
				_, err := graph.ReadWeight(&s.Graph.Values[i], s.Data)
				require.NoError(t, err, "%s: %s", s.Name, s.Graph.Values[i].Name)
			}
		}
	}
}

// Every field is in some seed and can be changed to something that is refused.
func TestEveryFieldCanBeWrong(t *testing.T) {
	seeds := Seeds(false)
	for _, field := range Fields() {
		wrong, tried := 0, 0
		for seed := range uint64(16) {
			r := rand.New(rand.NewPCG(seed, 1))
			for _, s := range seeds {
				g, what, ok := Graph(r, s.Graph, field)
				if !ok {
					continue
				}
				require.NotEmpty(t, what)
				tried++
				if err := graph.Verify(g, ops.Standard); err != nil {
					require.ErrorIs(t, err, graph.ErrInvalid, what)
					wrong++
				}
			}
		}
		if tried == 0 && !unused[field] || tried > 0 && wrong == 0 && field != "Sources[].ID" {
			t.Errorf("%s: %d tried, %d invalid", field, tried, wrong)
		}
	}
	for i, s := range Seeds(false) {
		require.Equal(t, s.Graph, seeds[i].Graph, "a seed was changed")
	}
}

// unused fields are in no operator there is; the lists that they are in are.
var unused = map[string]bool{"Nodes[].Attrs[].Floats[]": true, "Nodes[].Attrs[].Strings[]": true}

func TestBytes(t *testing.T) {
	s := Seeds(true)[0]
	b, err := graph.Marshal(s.Graph)
	require.NoError(t, err)
	kept := append([]byte(nil), b...)
	accepted := 0
	for i := range uint64(3000) {
		m := Bytes(rand.New(rand.NewPCG(i, 2)), b)
		require.Equal(t, m, Bytes(rand.New(rand.NewPCG(i, 2)), b), "a seed repeats it")
		g, err := graph.Unmarshal(m, ops.Standard)
		if err != nil {
			require.ErrorIs(t, err, graph.ErrInvalid)
			continue
		}
		require.NotNil(t, g)
		accepted++
	}
	require.Equal(t, kept, b)
	t.Logf("%d of 3000 are accepted", accepted)
	require.Greater(t, accepted, 30)
	require.Less(t, accepted, 2900)
	require.NotEmpty(t, Bytes(rand.New(rand.NewPCG(1, 1)), nil))
}

func ExampleGraph() {
	s := Seeds(true)[0]
	g, what, _ := Graph(rand.New(rand.NewPCG(3, 0)), s.Graph, "Nodes[].In[]")
	fmt.Println(what)
	fmt.Println(graph.Verify(g, ops.Standard))
}
