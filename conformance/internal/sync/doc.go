// Package sync holds the cases that are about timelines, queues, cancellation and concurrency.
//
// Package sync imports what package suite does, and suite; see the table of
// rooms in internal/depcheck.
package sync
