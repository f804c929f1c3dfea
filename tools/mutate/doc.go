// Mutate asks whether the conformance suite would notice: it makes one small
// change at a time at random sites of the CPU driver and its kernels, and runs
// the suite until its first failure.
//
//	go run ./tools/mutate -n 40 -seed 1 -json mutants.json
//
// A change that the suite fails, or that crashes or hangs it, is caught; one
// that passes every case has survived, and either a case is missing or the
// change means nothing. Changes that do not compile, or that compile to the
// same program, are drawn again and not counted.
//
// Sites are drawn uniformly over what can be changed in drivers/cpu and
// ops/kern, in Go and, for this machine's architecture, in assembly: constants,
// comparisons, arithmetic, signs, statements, indexes, loops, branches (see
// [Mutation]). What is left out is listed in exceptions.go, with a reason each.
// Nothing in the tree is touched: the work is done in a copy.
//
// A mutant is judged in stages, to find the failing case soon: cases that sound
// like the changed file, then quick groups of cases, then all others, on the
// instruction-set tier that runs the code; what survives is tried on the
// generic tier, too.
//
// It imports the standard library only.
package main
