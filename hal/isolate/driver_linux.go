package isolate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/self"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// Driver returns a driver whose devices live in child processes, one for each. In is
// the driver of that name in this program, nil if only the host program has
// it. Safe for concurrent use.
func Driver(name string, in driver.Driver, o Options) driver.Driver {
	return &isolated{name: name, info: infoOf(name, in), here: in != nil, o: o}
}

type isolated struct {
	name string
	info driver.Info
	here bool
	o    Options
}

// Info describes the driver.
func (d *isolated) Info() driver.Info { return d.info }

// hostName is the host program beside an app.
const hostName = "heddle-host"

// program finds the host program: what to execute, and its name for people.
func (d *isolated) program() (path, name string, err error) {
	if self.IsHost() {
		return "", "", fmt.Errorf("this process is a device's own: it starts no others: %w", driver.ErrUnavailable)
	}
	check := func(path, from string) (string, string, error) {
		st, err := os.Stat(path)
		switch {
		case err != nil:
			return "", "", fmt.Errorf("the host program (%s): %w: %w", from, err, driver.ErrUnavailable)
		case !st.Mode().IsRegular() || st.Mode()&0o111 == 0:
			return "", "", fmt.Errorf("the host program (%s): %s is no executable file: %w", from, path, driver.ErrUnavailable)
		}
		return path, path, nil
	}
	if d.o.Host != "" {
		return check(d.o.Host, "option host")
	}
	if p := os.Getenv("HEDDLE_HOST"); p != "" {
		return check(p, "environment variable HEDDLE_HOST")
	}
	app, err := os.Executable()
	if err == nil && self.Declared() && d.here {
		// Not by its name: the file may have been replaced since.
		return "/proc/self/exe", app, nil
	}
	if err == nil {
		if p := filepath.Join(filepath.Dir(app), hostName); isFile(p) {
			return check(p, "beside this program")
		}
	}
	return "", "", fmt.Errorf("no host program for a device in a process of its own: build one with \"go build -o %s ./tools/heddle-host\", put it beside this program or name it with the option host=PATH or the environment variable HEDDLE_HOST; or call hal/isolate/host.Main first in main; or, to run the driver in this process, open %s with isolate=0: %w",
		hostName, d.name, driver.ErrUnavailable)
}

func isFile(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.Mode().IsRegular()
}

// start starts a child that has the driver.
func (d *isolated) start(ctx context.Context) (*link, error) {
	path, name, err := d.program()
	if err != nil {
		return nil, err
	}
	p, conn, err := startProcess(path, name, d.name, "3", &d.o)
	if err != nil {
		return nil, err
	}
	l := newLink(conn, p, &d.o)
	if err := l.greet(ctx, d.name); err != nil {
		l.close(0)
		return nil, err
	}
	return l, nil
}

// startLimit is how long a program may take to start, at the least: that
// depends on the machine more than on the device.
var startLimit = 10 * time.Second

// greet agrees on the protocol and the driver.
func (l *link) greet(ctx context.Context, name string) error {
	g := wire.Greeting{Version: wire.Version, Driver: name, MemLimit: l.o.MemLimit}
	reply, err := l.call(ctx, request{kind: wire.Hello, payload: g.Append(nil), limit: replyLimit, wait: max(l.o.timeout(false), startLimit)})
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w: is %s a host program (heddle-host)? %w", err, l.program(), driver.ErrUnavailable)
		}
		return err
	}
	var its wire.Greeting
	if err := its.Decode(reply); err != nil {
		return fmt.Errorf("%s greets in another way: is it a host program (heddle-host)? %w: %w", l.program(), err, driver.ErrUnavailable)
	}
	switch {
	case its.Version != wire.Version:
		return fmt.Errorf("the host program %s speaks version %d of the isolation protocol, this program version %d: build both from one version of heddle: %w",
			l.program(), its.Version, wire.Version, driver.ErrUnavailable)
	case !its.Found:
		return fmt.Errorf("the host program %s has no driver %q; it has %q: %w", l.program(), name, its.Drivers, driver.ErrUnavailable)
	}
	l.greeted.Store(true)
	return nil
}

// Probe asks the driver in a child of its own.
func (d *isolated) Probe(ctx context.Context) ([]driver.DeviceInfo, error) {
	l, err := d.start(ctx)
	if err != nil {
		return nil, err
	}
	defer l.close(0)
	reply, err := l.call(ctx, request{kind: wire.Probe, limit: replyLimit})
	if err != nil {
		return nil, err
	}
	devs, err := wire.JSON[[]driver.DeviceInfo](reply)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", l.program(), err)
	}
	return devs, nil
}

// Open opens a device in a child.
func (d *isolated) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	key := d.key(id, &o)
	if !d.o.NoBackoff {
		if err := deaths.check(key); err != nil {
			return nil, err
		}
	}
	l, err := d.start(ctx)
	if err != nil {
		return nil, err
	}
	l.key = key
	payload, err := json.Marshal(wire.OpenRequest{ID: id, Options: o})
	if err == nil {
		payload, err = l.call(ctx, request{kind: wire.Open, payload: payload, limit: replyLimit, slow: true})
	}
	if err != nil {
		if lost := l.lostErr(); lost != nil && !l.worked.Load() {
			deaths.died(key, lost)
		}
		l.close(0)
		return nil, err
	}
	opened, err := wire.JSON[wire.Opened](payload)
	if err != nil {
		l.close(0)
		return nil, fmt.Errorf("%s says of the device: %w", l.program(), err)
	}
	l.open.Store(true)
	return newDevice(l, &opened), nil
}

// key identifies a device and the way it is opened.
func (d *isolated) key(id string, o *driver.OpenOptions) string {
	k := d.o.Host + "\x00" + d.name + "\x00" + id
	for _, name := range slices.Sorted(maps.Keys(o.Options)) {
		k += "\x00" + name + "=" + o.Options[name]
	}
	return k
}
