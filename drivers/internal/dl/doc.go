// Package dl loads shared libraries at run time and calls their functions. It
// is the only door to purego in this repository, so the ways in which a
// program without cgo can go wrong with C code are dealt with once.
//
// A library stays loaded until the process ends: vendors' libraries start
// threads, register handlers and hand out addresses of their code, and none
// of that survives dlclose.
//
// Where purego does not work (without cgo on Android, on 32-bit machines,
// Windows), every Open fails with an error that says so.
//
// Package dl imports purego and nothing of ours.
package dl
