//go:build !(amd64 || arm64) || noasm

package kern

// assembled lists the tables of the assembly tiers, slowest first.
var assembled []*Table
