package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/conformance/internal/tol"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Status is the outcome of a case.
type Status string

// The outcomes.
const (
	Pass        Status = "pass"
	Fail        Status = "fail"
	Unsupported Status = "unsupported" // the device does not claim it; the reason says what is missing
	XFail       Status = "xfail"       // known not to pass, see the reference
	Crash       Status = "crash"       // the device was lost, or its driver panicked
	Timeout     Status = "timeout"
	Waived      Status = "waived" // a deviation that was agreed on, see the reference
)

func (s Status) bad() bool { return s == Fail || s == Crash || s == Timeout }

var statuses = []Status{Pass, Fail, Crash, Timeout, Unsupported, XFail, Waived}

// Measured is the error of a numeric case against the oracle.
type Measured = tol.Stats

// Result is the outcome of one case.
type Result struct {
	ID       string   `json:"id"`
	Profiles []string `json:"profiles,omitempty"`
	Status   Status   `json:"status"`
	// Reason says why a case did not pass.
	Reason string `json:"reason,omitempty"`
	// Reference says where more can be read about what is expected to fail.
	Reference string `json:"reference,omitempty"`
	// Form is "decomposed" where the device was given simpler operators.
	Form string `json:"form,omitempty"`
	// Error is what was measured, for cases that compare numbers.
	Error  *Measured `json:"error,omitempty"`
	Notes  []string  `json:"notes,omitempty"`
	Millis float64   `json:"ms"`
}

// Environment is where a report was made.
type Environment struct {
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	Processors int    `json:"processors"`
	Go         string `json:"go"`
	// Heddle is the version of this module, Commit the commit it was built
	// from, with "+dirty" if files were changed.
	Heddle string `json:"heddle,omitempty"`
	Commit string `json:"commit,omitempty"`
}

func environment() Environment {
	e := Environment{OS: runtime.GOOS, Arch: runtime.GOARCH, Processors: runtime.NumCPU(), Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return e
	}
	const module = "github.com/heddle-ml/heddle"
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module {
			e.Heddle = m.Version
		}
	}
	if info.Main.Path == module {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				e.Commit = s.Value + e.Commit
			case s.Key == "vcs.modified" && s.Value == "true":
				e.Commit += "+dirty"
			}
		}
	}
	return e
}

// ProfileResult sums up the cases of one profile.
type ProfileResult struct {
	Name string `json:"name"`
	// Claimed tells that the device's capabilities name it.
	Claimed bool `json:"claimed"`
	// Passed tells that all its cases were run and none is bad, unsupported or
	// expected to fail.
	Passed bool           `json:"passed"`
	Cases  int            `json:"cases"`
	Totals map[Status]int `json:"totals"`
}

// schema is the version of the report's form.
const schema = 1

// Report is the outcome of a run. It marshals to JSON.
type Report struct {
	Schema int `json:"schema"`
	// Suite is the version of the suite, Hash what its cases compute.
	Suite string `json:"suite"`
	Hash  string `json:"hash"`
	// Command is how the report was made, if whoever made it says so.
	Command     string            `json:"command,omitempty"`
	Driver      driver.Info       `json:"driver"`
	Device      driver.DeviceInfo `json:"device"`
	Caps        driver.Caps       `json:"caps"`
	Environment Environment       `json:"environment"`
	Options     map[string]string `json:"options,omitempty"`
	// Scope lists the profiles that the run was limited to; all cases if
	// empty.
	Scope    []string `json:"scope,omitempty"`
	ONNX     bool     `json:"onnx"`
	Isolated bool     `json:"isolated"`
	Partial  bool     `json:"partial"`
	Seed     uint64   `json:"seed"`

	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`

	Totals   map[Status]int  `json:"totals"`
	Profiles []ProfileResult `json:"profiles"`
	Results  []Result        `json:"results"`
	// Problems are what was found outside of cases, such as a device that does
	// not close when all is done.
	Problems []string `json:"problems,omitempty"`
	// Seal is the SHA-256 of the report with an empty seal: it shows mistakes
	// of transport and careless edits, not forgery.
	Seal string `json:"seal"`
}

// Passed reports whether no case is bad and every profile that the device
// claims passed, as far as it was part of the run.
func (r *Report) Passed() bool {
	if len(r.Problems) > 0 {
		return false
	}
	for _, res := range r.Results {
		if res.Status.bad() {
			return false
		}
	}
	for _, p := range r.Profiles {
		if p.Claimed && !p.Passed && p.Cases > 0 && !r.Partial {
			return false
		}
	}
	return true
}

// Failures returns the results that are failures, crashes or timeouts.
func (r *Report) Failures() []Result {
	var out []Result
	for _, res := range r.Results {
		if res.Status.bad() {
			out = append(out, res)
		}
	}
	return out
}

// sum fills in what follows from the results.
func (r *Report) sum() {
	r.Suite, r.Hash = Version, Hash()
	r.Totals = map[Status]int{}
	for _, res := range r.Results {
		r.Totals[res.Status]++
	}
	r.Profiles = r.profiles()
	r.Seal = r.seal()
}

func (r *Report) profiles() []ProfileResult {
	size := map[string]int{}
	list, _ := readList(mustPass)
	for _, l := range list {
		for _, p := range l.profiles {
			size[p]++
		}
	}
	claimed := claims(&r.Caps)
	out := []ProfileResult{}
	for _, name := range suite.ProfileNames() {
		if len(r.Scope) > 0 && !slices.Contains(r.Scope, name) {
			continue
		}
		p := ProfileResult{Name: name, Claimed: slices.Contains(claimed, name), Totals: map[Status]int{}}
		for _, res := range r.Results {
			if slices.Contains(res.Profiles, name) {
				p.Cases++
				p.Totals[res.Status]++
			}
		}
		p.Passed = p.Cases > 0 && p.Cases == size[name] && p.Totals[Pass]+p.Totals[Waived] == p.Cases
		out = append(out, p)
	}
	return out
}

// claims lists the profiles that a device claims, with those they build on.
func claims(c *driver.Caps) []string {
	var out suite.Profile
	for _, name := range c.Profiles {
		if p, err := suite.ParseProfile(name); err == nil {
			out |= p
		}
	}
	return out.Expand().Names()
}

func (r *Report) seal() string {
	c := *r
	c.Seal = ""
	b, err := json.Marshal(&c)
	if err != nil {
		return "cannot be sealed: " + err.Error()
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// Write writes the report as JSON. Command, if not empty, is recorded.
func (r *Report) Write(w io.Writer, command string) error {
	c := *r
	c.Command = command
	c.Seal = c.seal()
	lines := make([][]byte, len(c.Results))
	for i := range c.Results {
		var err error
		if lines[i], err = json.Marshal(&c.Results[i]); err != nil {
			return fmt.Errorf("conformance: %s: %w", c.Results[i].ID, err)
		}
	}
	c.Results = []Result{}
	b, err := json.MarshalIndent(&c, "", " ")
	if err != nil {
		return fmt.Errorf("conformance: %w", err)
	}
	// One line for each case keeps files of ten thousand small, and their
	// differences readable. Inside of strings the quotes would be escaped.
	b = bytes.Replace(b, []byte(`"results": []`), slices.Concat([]byte("\"results\": [\n  "), bytes.Join(lines, []byte(",\n  ")), []byte("\n ]")), 1)
	_, err = w.Write(append(b, '\n'))
	return err
}

// ReadReport reads a report that Write wrote. It is not verified: see Verify.
func ReadReport(r io.Reader) (Report, error) {
	var rep Report
	d := json.NewDecoder(io.LimitReader(r, 256<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(&rep); err != nil {
		return Report{}, fmt.Errorf("conformance: this is no report: %w", err)
	}
	return rep, nil
}

// Hash identifies the suite: its version, its cases and what they compute.
func Hash() string { return hash() }

var hash = sync.OnceValue(func() string {
	h := sha256.Sum256([]byte(Version + "\n" + mustPass + fmt.Sprint(tol.Table, tol.Operators)))
	return hex.EncodeToString(h[:])
})

// digest is the entry of a case in the must-pass list.
func digest(c *suite.Case) (string, error) {
	if c.Define == nil {
		return "-", nil
	}
	b, err := c.Define()
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:4]), nil
}

// group is the first part of a case's ID.
func group(id string) string {
	g, _, _ := strings.Cut(id, ".")
	return g
}
