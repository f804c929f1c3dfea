// Package shared finds test data. Some of it lies in the repository; some
// consists of other projects' files, which are never committed and are found
// through the environment variable HEDDLE_SHARED (default: a folder "shared"
// beside the repository).
//
// It is imported by tests only and imports nothing of ours.
package shared
