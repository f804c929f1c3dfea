// Package cache holds the cases that save compiled executables and restore
// them: what comes back computes the same, a damaged blob is refused, and
// somebody else's is refused or computes right all the same. No profile asks
// for a cache; a device that has one is held to all of this.
//
// Blobs and executables are the driver's own here, behind validation but below
// package hal, which has no cache.
//
// Package cache imports what package suite does, and suite.
package cache
