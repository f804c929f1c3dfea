// Package depcheck keeps the architecture true: its tests read every source
// file of the module and check who imports whom, what may be unsafe, that
// packages are described, and that a program which links only drivers/static
// is a static binary.
//
// The rules are the table in rooms_test.go: a package may import what its room
// lists and nothing else; a package without a room fails. To add a package, or
// a dependency between rooms, change the table in the same commit and say why.
//
// Package depcheck has no code but tests; it imports internal/shared.
package depcheck
