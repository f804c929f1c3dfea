// Package mutate makes wrong graphs out of right ones: [Graph] changes one
// field of a graph, [Bytes] changes bytes of its binary form, [Seeds] are small
// graphs to begin with that use all there is. Everything is drawn from a
// generator, so that a seed repeats it.
//
// Package mutate imports graph (with dim and enc) and ops. Tests of other
// packages that read graphs may import it.
package mutate
