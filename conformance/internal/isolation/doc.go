// Package isolation holds the cases about devices in a process of their own:
// that process is killed or stopped, in the middle of whatever it does, or is
// sent what makes no sense. They are part of no profile.
//
// Package isolation imports what package suite does, conformance/internal/rig
// and hal/isolate.
package isolation
