package isolate

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-ml/heddle/hal/driver"
)

// Options configure isolation. The zero value is the default.
type Options struct {
	// Host is the path of the host program; see the package's description
	// for what is taken without it.
	Host string
	// Timeout bounds answers, RunTimeout batches. 0 means 30 and 60
	// seconds, a negative value no limit.
	Timeout, RunTimeout time.Duration
	// MemLimit bounds private memory of the child, in bytes; 0: no limit.
	MemLimit int64
	// CPUs is how many processors the child may use; 0: all.
	CPUs int
	// Env names environment variables to pass besides those of Environment.
	Env []string
	// NoBackoff opens a device however often its child died at once.
	NoBackoff bool
}

const (
	defaultTimeout    = 30 * time.Second
	defaultRunTimeout = time.Minute
	// aliveLimit is how long a ping may be unanswered.
	aliveLimit = 10 * time.Second
	// slowFactor is how much longer compiling and opening may take.
	slowFactor = 10
)

// timeout returns the limit of a call, 0 for none.
func (o *Options) timeout(slow bool) time.Duration {
	t := o.Timeout
	switch {
	case t < 0:
		return 0
	case t == 0:
		t = defaultTimeout
	}
	if slow {
		t *= slowFactor
	}
	return t
}

func (o *Options) runTimeout() time.Duration {
	switch {
	case o.RunTimeout < 0:
		return 0
	case o.RunTimeout == 0:
		return defaultRunTimeout
	}
	return o.RunTimeout
}

func (o *Options) alive() time.Duration {
	if t := o.timeout(false); t > 0 {
		return min(t, aliveLimit)
	}
	return aliveLimit
}

// Take removes the options of this package from those of a device's name.
func Take(all map[string]string) (o Options, rest map[string]string, err error) {
	rest = maps.Clone(all)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		v, ok, bad := all[k], true, ""
		switch k {
		case "host":
			if o.Host = v; v == "" {
				bad = "the path of a program"
			}
		case "timeout":
			o.Timeout, bad = duration(v)
		case "run_timeout":
			o.RunTimeout, bad = duration(v)
		case "mem_limit":
			o.MemLimit, bad = bytesOf(v)
		case "cpus":
			if o.CPUs, err = strconv.Atoi(v); err != nil || o.CPUs < 1 || o.CPUs > 1024 {
				bad = "a number from 1 to 1024"
			}
		case "env":
			o.Env = strings.Split(v, ",")
		case "backoff":
			b, err := strconv.ParseBool(v)
			if o.NoBackoff = !b; err != nil {
				bad = "1 or 0"
			}
		default:
			ok = false
		}
		if bad != "" {
			return o, nil, fmt.Errorf("option %s=%q: want %s: %w", k, v, bad, driver.ErrUnsupported)
		}
		if ok {
			delete(rest, k)
		}
	}
	if len(rest) == 0 {
		rest = nil
	}
	return o, rest, nil
}

func duration(v string) (time.Duration, string) {
	d, err := time.ParseDuration(v)
	switch {
	case err == nil && d > 0 && d <= 24*time.Hour:
		return d, ""
	case v == "0" || err == nil && d == 0:
		return -1, ""
	}
	return 0, "a time such as 10s, at most 24h, or 0 for no limit"
}

// minMemory is what a host needs to start at all.
const minMemory = 16 << 20

func bytesOf(v string) (int64, string) {
	digits, shift := v, 0
	for i, unit := range []string{"K", "M", "G", "T"} {
		if d, ok := strings.CutSuffix(v, unit); ok {
			digits, shift = d, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > 1<<50>>shift || n<<shift < minMemory {
		return 0, "a number of bytes such as 512M or 2G, at least 16M"
	}
	return n << shift, ""
}

// environment lists what is passed to the child; an entry that ends in * stands for all
// names that begin so.
var environment = []string{
	"PATH", "HOME", "USER", "TMPDIR", "TZ", "LANG", "LC_*", "LD_LIBRARY_PATH", "XDG_*",
	"HEDDLE_*", "GODEBUG", "GOTRACEBACK", "GOCOVERDIR", "GORACE", "MALLOC_*", "GLIBC_TUNABLES",
	"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS",
	"ANDROID_*", "ADSP_LIBRARY_PATH", "CDSP_LIBRARY_PATH", "QNN_*", "NEURON_*", "VK_*", "MESA_*",
}

// Environment lists the names of environment variables that a child
// inherits; one that ends in * stands for all that begin so. The
// option env adds to it.
func Environment() []string { return slices.Clone(environment) }

// childEnv returns the environment of a child.
func childEnv(more []string) []string {
	var out []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if slices.Contains(more, name) || slices.ContainsFunc(environment, func(p string) bool {
			prefix, ok := strings.CutSuffix(p, "*")
			return p == name || ok && strings.HasPrefix(name, prefix)
		}) {
			out = append(out, kv)
		}
	}
	return out
}
