package hal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/heddle-ml/heddle/hal/internal/selfcheck"
)

// quarantine is what a registry knows of devices that failed. The zero value
// is ready. Safe for concurrent use.
type quarantine struct {
	mu   sync.Mutex
	held map[culprit]*SelfCheckReport // failures only
}

// culprit identifies devices that are alike.
type culprit struct{ driver, fingerprint string }

// sentence remembers a failure, or forgets it when the device has passed. r
// may be nil: a device that was opened by hand has no registry.
func (r *Registry) sentence(rep *SelfCheckReport) {
	if r == nil {
		return
	}
	q := &r.quarantine
	q.mu.Lock()
	defer q.mu.Unlock()
	key := culprit{rep.Driver, rep.Fingerprint}
	if rep.Reason == "" {
		delete(q.held, key)
		return
	}
	if q.held == nil {
		q.held = map[culprit]*SelfCheckReport{}
	}
	q.held[key] = rep
}

// held returns the failure of a device in this process, nil when there is
// none.
func (r *Registry) held(key culprit) *SelfCheckReport {
	if r == nil {
		return nil
	}
	r.quarantine.mu.Lock()
	defer r.quarantine.mu.Unlock()
	return r.quarantine.held[key]
}

// quarantined returns the error of a device that failed, in this process or
// an earlier one.
func (r *Registry) quarantined(dev *Device) error {
	key := culprit{dev.drv, dev.caps.Fingerprint}
	rep := r.held(key)
	if rep == nil {
		rep = openStore("").read(key.driver, key.fingerprint)
	}
	if rep == nil || rep.Reason == "" {
		return nil
	}
	return quarantineError(rep)
}

func quarantineError(r *SelfCheckReport) error {
	return fmt.Errorf("it failed its self-check of %s: %s; update the driver, or have it checked again: heddle devices --self-check: %w",
		r.Time.Format("2006-01-02"), r.Reason, ErrQuarantined)
}

// store keeps results of self-checks: one file for each driver, fingerprint
// and revision. A directory that cannot be used only costs time, so its
// methods report no errors. The empty store keeps nothing.
type store string

// openStore returns the store in a directory; see SelfCheckOptions.Dir.
func openStore(dir string) store {
	switch dir {
	case "-":
		return ""
	case "":
		base, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		return store(filepath.Join(base, "heddle", "selfcheck"))
	}
	return store(dir)
}

func (s store) file(drv, fingerprint string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%q %q %d", drv, fingerprint, selfcheck.Revision))
	return filepath.Join(string(s), hex.EncodeToString(h[:16])+".json")
}

// maxEntry bounds the size of a file that is read: reports take a few
// kilobytes.
const maxEntry = 1 << 20

// read returns a result, nil when there is none, or none that makes sense.
func (s store) read(drv, fingerprint string) *SelfCheckReport {
	if s == "" {
		return nil
	}
	f, err := os.Open(s.file(drv, fingerprint))
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxEntry+1))
	if err != nil || len(data) > maxEntry {
		return nil
	}
	rep := new(SelfCheckReport)
	if json.Unmarshal(data, rep) != nil || rep.Driver != drv || rep.Fingerprint != fingerprint || rep.Revision != selfcheck.Revision ||
		rep.Checked() == 0 && rep.Reason == "" || rep.Time.IsZero() {
		return nil
	}
	rep.Cached = true
	return rep
}

// write puts a result into its place, whole or not at all.
func (s store) write(rep *SelfCheckReport) {
	if s == "" {
		return
	}
	data, err := json.MarshalIndent(rep, "", "  ")
	if err != nil || os.MkdirAll(string(s), 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(string(s), ".new-*")
	if err != nil {
		return
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.file(rep.Driver, rep.Fingerprint))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
}
