//go:build race

package isolate_test

// raceEnabled: the race detector allocates.
const raceEnabled = true
