//go:build race

package plugin_test

// raceEnabled: the race detector makes sync.Pool drop objects at random, so
// counting allocations says nothing.
const raceEnabled = true
