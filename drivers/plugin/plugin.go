package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

func init() { hal.Register(Driver{}) }

// EnvPlugins names the environment variable that lists libraries for Probe.
const EnvPlugins = "HEDDLE_PLUGINS"

// Driver is the driver. Safe for concurrent use.
type Driver struct{}

// Info describes the driver.
func (Driver) Info() driver.Info {
	return driver.Info{Name: "plugin", Vendor: "heddle", Version: "1", Summary: "vendors' shared libraries (C driver ABI)", Foreign: true}
}

// unknown is the kind of a device whose library has not been loaded.
const unknown driver.Kind = "unknown"

// Probe lists the libraries that HEDDLE_PLUGINS names and that are there. It
// loads none of them.
func (Driver) Probe(context.Context) ([]driver.DeviceInfo, error) {
	var found []driver.DeviceInfo
	var missing []error
	for _, path := range filepath.SplitList(os.Getenv(EnvPlugins)) {
		if path == "" {
			continue
		}
		if err := isFile(path); err != nil {
			missing = append(missing, fmt.Errorf("%s: %w", path, err))
			continue
		}
		found = append(found, driver.DeviceInfo{ID: path, Model: filepath.Base(path), Kind: unknown})
	}
	switch {
	case len(found) > 0:
		return found, nil
	case len(missing) > 0:
		return nil, fmt.Errorf("not here: %s: %w: %w", EnvPlugins, errors.Join(missing...), driver.ErrUnavailable)
	}
	return nil, fmt.Errorf("not here: name a library, plugin:/path/driver.so, or list some in %s: %w", EnvPlugins, driver.ErrUnavailable)
}

func isFile(path string) error {
	info, err := os.Stat(path)
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a file")
	}
	return err
}

// Open loads the library named by id, a path, and opens one of its devices:
// the first, or with #N behind the path the one with that number.
func (Driver) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	path, number := splitID(id)
	if path == "" {
		return nil, fmt.Errorf("no library is named: plugin:/path/driver.so: %w", driver.ErrUnavailable)
	}
	if err := isFile(path); err != nil {
		return nil, fmt.Errorf("library %s: %w: %w", path, err, driver.ErrUnavailable)
	}
	timeout, err := takeTimeout(&o)
	if err != nil {
		return nil, err
	}
	l, err := load(path)
	if err != nil {
		return nil, err
	}
	return l.open(ctx, number, o, timeout)
}

// splitID separates "path#1". A path that exists as it is has no number.
func splitID(id string) (path string, number uint32) {
	at := strings.LastIndexByte(id, '#')
	if at < 0 {
		return id, 0
	}
	n, err := strconv.ParseUint(id[at+1:], 10, 32)
	if err != nil || isFile(id) == nil {
		return id, 0
	}
	return id[:at], uint32(n)
}

// takeTimeout reads the one option that is not the library's.
func takeTimeout(o *driver.OpenOptions) (time.Duration, error) {
	text, ok := o.Options["timeout"]
	if !ok {
		return 0, nil
	}
	rest := make(map[string]string, len(o.Options))
	for k, v := range o.Options {
		if k != "timeout" {
			rest[k] = v
		}
	}
	o.Options = rest
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("option timeout=%q: want a duration such as 30s: %w", text, driver.ErrUnsupported)
	}
	return d, nil
}
