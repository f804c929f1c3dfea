package self

import "sync/atomic"

var canHost, isHost atomic.Bool

// Declare notes that this program serves a device when it is started again
// with ChildEnv set.
func Declare() { canHost.Store(true) }

// Declared reports whether Declare was called.
func Declared() bool { return canHost.Load() }

// EnterHost notes that this process is a host: it starts no others.
func EnterHost() { isHost.Store(true) }

// IsHost reports whether EnterHost was called.
func IsHost() bool { return isHost.Load() }

// ChildEnv is the environment variable that makes a program a host. Its
// value is the descriptor of the socket, and ",many" for a host that serves
// one session after the other, on sockets that it is sent; see isolate.Attack.
const ChildEnv = "HEDDLE_ISOLATED"
