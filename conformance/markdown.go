package conformance

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Markdown writes a summary for people: the verdict, the profiles, what failed
// and why, what is unsupported, how exact the device is, and what took long.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	p("# %s:%s: %s\n\n", r.Driver.Name, r.Device.ID, r.verdict())
	p("| | |\n| --- | --- |\n")
	p("| device | %s, %s by %s |\n", cell(r.Caps.Model), r.Caps.Kind, cell(r.Caps.Vendor))
	p("| driver | %s %s by %s%s |\n", cell(r.Driver.Name), cell(r.Driver.Version), cell(r.Driver.Vendor), map[bool]string{true: ", in a process of its own"}[r.Isolated])
	p("| suite | %s, hash %.12s%s |\n", r.Suite, r.Hash, map[bool]string{true: ", **partial**"}[r.Partial])
	e := r.Environment
	p("| machine | %s/%s, %d processors, %s |\n", e.OS, e.Arch, e.Processors, e.Go)
	if e.Commit != "" {
		p("| commit | %s |\n", cell(e.Commit))
	}
	p("| when | %s, in %.0f s |\n", r.Started.Format("2006-01-02 15:04 MST"), r.Seconds)
	if r.Command != "" {
		p("| command | `%s` |\n", cell(r.Command))
	}

	p("\n## Profiles\n\n| profile | claimed | result | cases | pass | fail | crash | timeout | unsupported | xfail | waived |\n| --- | --- | --- | --: | --: | --: | --: | --: | --: | --: | --: |\n")
	for _, f := range r.Profiles {
		result := "**passed**"
		if !f.Passed {
			result = map[bool]string{true: "**failed**", false: "not passed"}[f.Claimed]
		}
		t := f.Totals
		p("| %s | %s | %s | %d | %d | %d | %d | %d | %d | %d | %d |\n", f.Name, map[bool]string{true: "yes", false: "no"}[f.Claimed], result, f.Cases,
			t[Pass], t[Fail], t[Crash], t[Timeout], t[Unsupported], t[XFail], t[Waived])
	}

	if fs := r.Failures(); len(fs) > 0 {
		p("\n## Failures\n\n| case | status | reason |\n| --- | --- | --- |\n")
		for _, f := range fs {
			p("| `%s` | %s | %s |\n", f.ID, f.Status, cell(f.Reason))
		}
	}
	if len(r.Problems) > 0 {
		p("\n## Problems\n\n")
		for _, s := range r.Problems {
			p("- %s\n", cell(s))
		}
	}
	expected := slices.DeleteFunc(slices.Clone(r.Results), func(f Result) bool { return f.Status != XFail && f.Status != Waived })
	if len(expected) > 0 {
		p("\n## Known not to pass\n\n| case | status | reference | reason |\n| --- | --- | --- | --- |\n")
		for _, f := range expected {
			p("| `%s` | %s | %s | %s |\n", f.ID, f.Status, cell(f.Reference), cell(f.Reason))
		}
	}

	p("\n## Groups\n\nErrors are the largest of the group, as a share of what is allowed.\n\n| group | cases | pass | other | worst error | time |\n| --- | --: | --: | --- | --: | --: |\n")
	for _, g := range r.groups() {
		p("| %s | %d | %d | %s | %s | %.1f s |\n", g.name, g.n, g.totals[Pass], g.others(), g.error(), g.ms/1000)
	}

	if r.Totals[Unsupported] > 0 {
		p("\n## Not supported\n\nWhat the device does not claim, by reason.\n\n| cases | reason | for example |\n| --: | --- | --- |\n")
		for _, u := range r.reasons() {
			p("| %d | %s | `%s` |\n", u.n, cell(u.text), u.example)
		}
	}
	if slow := r.slowest(5); len(slow) > 0 {
		p("\n## Slowest\n\n| case | time |\n| --- | --: |\n")
		for _, s := range slow {
			p("| `%s` | %.2f s |\n", s.ID, s.Millis/1000)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) verdict() string {
	var passed, failed []string
	for _, f := range r.Profiles {
		switch {
		case f.Passed:
			passed = append(passed, f.Name)
		case f.Claimed:
			failed = append(failed, f.Name)
		}
	}
	bad := len(r.Failures())
	switch {
	case bad == 0 && len(r.Problems) > 0:
		return r.Problems[0]
	case bad > 0:
		return fmt.Sprintf("%d of %d cases failed", bad, len(r.Results))
	case len(failed) > 0:
		return "does not pass " + strings.Join(failed, ", ") + ", which it claims"
	case len(passed) > 0:
		return "passes " + strings.Join(passed, ", ")
	}
	return fmt.Sprintf("no failures in %d cases, no whole profile", len(r.Results))
}

type groupSum struct {
	name   string
	n      int
	totals map[Status]int
	worst  float64
	ms     float64
}

func (r *Report) groups() []*groupSum {
	var out []*groupSum
	for _, res := range r.Results {
		name := group(res.ID)
		i := slices.IndexFunc(out, func(g *groupSum) bool { return g.name == name })
		if i < 0 {
			i = len(out)
			out = append(out, &groupSum{name: name, totals: map[Status]int{}})
		}
		g := out[i]
		g.n++
		g.totals[res.Status]++
		g.ms += res.Millis
		if res.Error != nil {
			g.worst = max(g.worst, res.Error.Worst)
		}
	}
	return out
}

func (g *groupSum) others() string {
	var out []string
	for _, s := range statuses[1:] {
		if n := g.totals[s]; n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(out, ", ")
}

func (g *groupSum) error() string {
	switch {
	case g.worst == 0:
		return ""
	case g.worst == math.MaxFloat64:
		return "not comparable"
	}
	return fmt.Sprintf("%.2g", g.worst)
}

type reasonSum struct {
	text, example string
	n             int
}

func (r *Report) reasons() []*reasonSum {
	var out []*reasonSum
	for _, res := range r.Results {
		if res.Status != Unsupported {
			continue
		}
		i := slices.IndexFunc(out, func(u *reasonSum) bool { return u.text == res.Reason })
		if i < 0 {
			i = len(out)
			out = append(out, &reasonSum{text: res.Reason, example: res.ID})
		}
		out[i].n++
	}
	slices.SortStableFunc(out, func(a, b *reasonSum) int { return b.n - a.n })
	return out
}

func (r *Report) slowest(n int) []Result {
	out := slices.Clone(r.Results)
	slices.SortStableFunc(out, func(a, b Result) int { return int(b.Millis - a.Millis) })
	return out[:min(n, len(out))]
}

// cell keeps text inside a table's cell.
func cell(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return strings.NewReplacer("|", "\\|", "<", "&lt;").Replace(s)
}
