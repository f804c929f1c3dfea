// Abigen writes the C driver ABI from its one description, package
// hal/abi:
//
//	drivers/plugin/include/heddle_driver.h   the header for vendors
//	hal/abi/mirror_gen.go                    the same structures in Go
//	hal/abi/layout_gen_test.go               where Go puts their fields
//	hal/abi/testdata/layout.c                prints where a C compiler does
//
// Run it in any folder of the module, after a change of hal/abi:
//
//	go generate ./hal/abi
//
// A change of the header's hand-written part, hal/abi/graph.h.inc, takes it
// too. With -check it writes nothing and fails if a file is not up to date.
//
// Abigen imports hal/abi, nothing else of ours.
package main
