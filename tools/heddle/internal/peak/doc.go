// Package peak tells how much memory the process has used at most.
//
// It imports the standard library and golang.org/x/sys.
package peak
