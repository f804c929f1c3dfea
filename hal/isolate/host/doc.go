// Package host is the other end of hal/isolate: it serves one device to the
// process that started this one.
//
// A program that can be its own host calls [Main] before anything else:
//
//	func main() {
//		if status, child := host.Main(); child {
//			os.Exit(status)
//		}
//		...
//	}
//
// tools/heddle-host is a program that does nothing else. The drivers are
// those that the program imports.
//
// Calls are handled concurrently, each in a goroutine; batches of one queue
// in order. What the client asks for is checked by package hal before a
// driver sees it. One goroutine receives and answers pings, and never calls
// a driver: a hanging driver does not make the process look dead, which
// the client tells apart.
//
// Package host imports hal, hal/driver, graph, ops (whose schemas check the
// graphs that arrive), hal/isolate's internal packages and
// golang.org/x/sys/unix.
package host
