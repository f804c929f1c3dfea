// Package mapped maps weight files into memory, read-only, for the formats
// beside it. Where there is no memory mapping it reads the file instead. The
// descriptor stays open: drivers in other processes and other languages map
// the file themselves.
//
// It imports golang.org/x/sys/unix and nothing of ours.
package mapped
