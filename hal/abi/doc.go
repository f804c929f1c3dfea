// Package abi describes the C driver ABI: what a vendor's shared library and
// heddle exchange. There is one description, in Go ([Describe]); command
// tools/abigen turns it into the C header that vendors compile against
// (drivers/plugin/include/heddle_driver.h), into the Go mirror of its
// structures (mirror_gen.go) and into a C program that prints where a
// compiler puts each field, for the test that compares the two.
//
// To change the ABI, edit tables.go and run
//
//	go generate ./hal/abi
//
// The header's part that reads graphs, graph.h.inc, is written by hand; the
// generator copies it into the header as it is.
//
// The rules that keep old libraries loading: structures and the table only
// grow at their end; a field never changes its meaning; numbers are never
// reused. While [Major] is 0 the rules may still be broken, by raising
// [Minor] and saying so.
//
// Package abi imports nothing of ours. The mirror is for 64-bit machines,
// little-endian; drivers/plugin refuses others.
package abi

//go:generate go run ../../tools/abigen
