// Package wire is what hal/isolate and hal/isolate/host say to each other:
// frames over a Unix socket, and memory files that pass through it.
//
// The socket keeps message boundaries (SOCK_SEQPACKET): one message is one
// [Frame], a header of 64 bytes and a payload of at most [MaxInline] bytes.
// Larger requests travel as a sealed memory file, larger replies in several
// frames. The client asks (kinds up to [Bye]), the host answers: one [Reply] for each
// call, one [Done] for each batch, in the order of submission.
//
// The client chooses the numbers of objects; 0 is none. Objects made in calls exist
// once the call is answered; [Source], [Stage] and [Drop] are not answered and hold
// for every frame that follows.
//
// Both sides take what they read for hostile: decoding is bounds-checked,
// fuzzed, and allocates no more than has arrived.
//
// Package wire imports graph (for errors), hal/driver and
// golang.org/x/sys/unix.
package wire
