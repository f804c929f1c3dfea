//go:build !noasm

package kern

import "github.com/heddle-ml/heddle/ops/kern/feat"

// assembled lists the tables of the assembly tiers, slowest first.
var assembled = []*Table{func() *Table {
	t := *generic // what has no assembly yet is portable
	t.Tier = feat.NEON
	t.Tile = tileNEON
	t.Dot = dotNEON
	t.Axpy = axpyNEON
	return &t
}()}

//go:noescape
func tileNEON(t *Tile)

//go:noescape
func dotNEON(r *Rows)

//go:noescape
func axpyNEON(r *Rows)
