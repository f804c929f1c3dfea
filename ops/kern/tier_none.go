//go:build !amd64 || noasm

package kern

// assembled lists the tables of the assembly tiers, slowest first.
var assembled []*Table
