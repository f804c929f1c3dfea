// Package isolate opens devices in child processes. A driver that crashes,
// hangs, leaks or scribbles over its heap then costs one device, reported as
// driver.ErrDeviceLost, and not the app. Package hal uses it for devices
// opened with the option isolate=1, and for drivers that run foreign code:
//
//	dev, err := hal.Open(ctx, "cpu?isolate=1")
//	dev, err := hal.Open(ctx, "plugin:/opt/npu.so?mem_limit=2G&run_timeout=10s")
//
// # The host program
//
// The child runs another program, or the same one again. It is, in this order:
// the option host=PATH; the environment variable HEDDLE_HOST; this program, if it called
// hal/isolate/host.Main first of all and has the driver; an executable
// heddle-host beside this one. The driver need not be part of the app: a static app
// reaches vendors' libraries that way.
//
// # Memory
//
// Where the device in the child imports host memory (driver.HostPtr or
// driver.MemFD in its heap's Import), what is allocated here is a memory file
// that both processes map: Memory.Bytes is what the device works on, nothing
// is copied. Elsewhere the memory is the device's own, not visible to the
// host, and uploads and downloads pass through a shared staging area. Weights that lie
// in files (graph.FileData) are mapped by the child; others are copied into
// a memory file once for each device.
//
// The child can write to what it shares: tensors, not the app's heap. A device of
// a process that was lost leaves the tensors readable until they are freed; once freed
// they are unmapped, and touching them then ends the app.
//
// # Loss
//
// When the child ends, or says what makes no sense, every call, batch and timeline of
// the device fails with an error that wraps driver.ErrDeviceLost and says how
// it ended: signal, exit status, and what it wrote last to its standard error
// (4 KB of which are kept). A child that does not answer within its limits is
// killed, and the error wraps driver.ErrTimeout, too. The app goes on, and may open
// the device again: that starts a new child. A device whose child died three
// times within 10 seconds, each time before it had done any work, is refused
// for a time that doubles from half a second to a minute.
//
// # Limits
//
// Options of the device's name, each with a default:
//
//	host=PATH        the host program
//	timeout=30s      for an answer; compiling and opening may take ten times as long. A child that answers no ping for that long, or 10s, is dead.
//	run_timeout=60s  for one batch; 0 for no limit
//	mem_limit=2G     private memory of the child: enforced by RLIMIT_DATA in the child (what it had at start and 128 MB for the
//	                 runtime are not counted) and by watching its resident anonymous memory, since reserved address space says nothing
//	cpus=4           processors: the highest-numbered ones of those allowed, which are the fast ones of a phone
//	env=A,B          further environment variables to pass
//	backoff=0        do not refuse a device whose child keeps dying
//
// The child has no descriptors but standard input (empty), output and error
// (both captured) and the socket; no core dumps; a process group of its own,
// so that Ctrl-C reaches only the app; and of the environment what Environment
// lists. It ends when the app does, however the app ends, because its socket
// closes.
//
// # Concurrency
//
// Devices are as safe for concurrent use as package driver asks. One
// goroutine per device receives; another looks for what is overdue, while
// there is something to wait for. Submit sends one message and allocates nothing in steady state; batches that
// wait for timelines of other devices are held back here, on a goroutine of their queue, until those are reached.
//
// Isolation needs Linux, Android included. Elsewhere opening a device fails with
// driver.ErrUnavailable.
//
// Package isolate imports graph (with dim and enc), hal/driver, its own
// internal packages and golang.org/x/sys/unix.
package isolate
