// Package atomicfile writes files that are there whole or not at all: to a
// temporary name beside the target, renamed when everything is written.
//
// It imports the standard library only.
package atomicfile
