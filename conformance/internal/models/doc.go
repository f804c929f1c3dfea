// Package models holds the cases that run the demo model: what it answers, and
// how close its logits are to the oracle's.
//
// The oracle computes the reference, in float64, from the checkpoint: image
// embeddings, the most likely answer and the logits behind every token. It is
// done once in a process for each conversation, and only when a case needs it.
// A few cases run the model's graphs on the device as they are; the others go
// through package models, as an app does.
//
// Package models imports what package suite does, suite, scheduler and models
// with its sub-packages; it is the only part of the suite that knows these.
package models
