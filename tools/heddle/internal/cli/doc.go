// Package cli is the heddle command: its arguments, its output and its exit
// statuses. What the commands do is done by models, its sub-packages and
// conformance.
//
// Every command follows the same rules. Answers and data go to standard
// output, everything else to standard error. With --json the output is one
// JSON object (for tiles one a line); names in it are fixed. The exit status is 0
// when done, 1 when something failed, which one line on standard error names
// with its fix, and 2 for wrong usage. An interrupt ends a command cleanly:
// files appear whole or not at all.
//
// One file holds one command; [Main] runs them, also in tests: it owns no state
// of the process but what [Env] gives it.
//
// Package cli imports models (with its sub-packages), conformance, scheduler,
// hal, graph (with its sub-packages), ops and the packages beside it, but no
// driver.
package cli
