// Package try runs cases one by one, for the tests of the groups: on a good
// device, and on wrong ones, to show that no case is vacuous.
//
// Package try imports what package suite does, and suite.
package try
