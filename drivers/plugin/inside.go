package plugin

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
)

// inside sees that the weights of a graph end before their sources do: a
// library that maps a file and reads behind its end takes the process with it.
func inside(g *graph.Graph, list []where) error {
	size := map[string]int64{}
	for _, w := range list {
		size[w.name] = w.size
	}
	for i := range g.Values {
		v := &g.Values[i]
		if v.Data == nil {
			continue
		}
		for k := range v.Data.Parts {
			p := &v.Data.Parts[k]
			have, ok := size[p.Source]
			if !ok {
				continue
			}
			l, err := p.Enc.Layout(p.Elem, p.Shape)
			if err != nil {
				return fmt.Errorf("weight %q: %w", v.Name, err)
			}
			for _, plane := range []struct{ at, n int64 }{{p.Offset, l.Data}, {p.ScaleOffset, l.Scale}, {p.ZeroOffset, l.Zero}} {
				if plane.n > 0 && (plane.at < 0 || plane.n > have || plane.at > have-plane.n) {
					return fmt.Errorf("weight %q: bytes %d+%d are not in source %q, which has %d: the file is truncated or not the one that the graph was made for: %w",
						v.Name, plane.at, plane.n, p.Source, have, graph.ErrNoData)
				}
			}
		}
	}
	return nil
}
