package graph

import (
	"crypto/sha256"
	"encoding/binary"
)

// Hash identifies what g computes and from what: two graphs with equal hashes
// can share compiled code. It covers symbols, sources with their identity,
// types, operators with versions and attributes, where weights lie, the bytes
// that the graph carries, and the names that callers bind: of inputs, outputs
// and states. It does not cover labels: the names of the graph, its nodes and
// all other values. It is a SHA-256 of the binary form, so it changes with
// that form's version.
//
// Weights count by location; a source without an ID is known by name and size
// only.
func (g *Graph) Hash() [32]byte {
	h := *g
	h.Name = ""
	h.Values = make([]Value, len(g.Values))
	for i, v := range g.Values {
		if v.Kind == Result || v.Kind == Const {
			v.Name = ""
		}
		h.Values[i] = v
	}
	h.Nodes = make([]Node, len(g.Nodes))
	for i, n := range g.Nodes {
		n.Name = ""
		h.Nodes[i] = n
	}
	data, err := Marshal(&h)
	if err != nil {
		// Only a graph that Verify refuses comes here. It is not the same as
		// any other.
		data = append(binary.LittleEndian.AppendUint64([]byte("invalid"), uint64(len(g.Values))), g.String()...)
	}
	return sha256.Sum256(data)
}
