// Package sync holds the cases about order: timelines, queues that wait for
// each other, failures and where they go, contexts that end, queues that are
// closed or full, and many goroutines at once. Most of them work on a device
// without validation, which would run one batch after the other.
//
// Package sync imports what package suite does, and conformance/internal/rig.
package sync
