// Package static registers the drivers that need nothing but the Go program
// itself:
//
//	import _ "github.com/heddle-ml/heddle/drivers/static"
//
// It is for programs that shall be static binaries (CGO_ENABLED=0). Programs
// that may be linked dynamically import drivers/all instead.
//
// Package static imports drivers, nothing else; none of them loads a shared
// library.
package static
