//go:build !noasm

package kern

import "github.com/heddle-ml/heddle/ops/kern/feat"

// assembled lists the tables of the assembly tiers, slowest first.
var assembled = []*Table{avx2}

var avx2 = func() *Table {
	t := *generic
	t.Tier = feat.AVX2
	t.Tile = tileAVX2
	t.Dot = dotAVX2
	t.Axpy = axpyAVX2
	return &t
}()

//go:noescape
func tileAVX2(t *Tile)

//go:noescape
func dotAVX2(r *Rows)

//go:noescape
func axpyAVX2(r *Rows)
