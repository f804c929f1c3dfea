package conformance

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
)

var update = flag.Bool("update", false, "write the must-pass list anew; names may be added, not taken away")

const listFile = "mustpass/" + Version + ".txt"

// entries returns the line of each case, in the order of their IDs.
func entries(t *testing.T) []string {
	cs, err := cases("")
	require.NoError(t, err)
	lines := make([]string, len(cs))
	var wg sync.WaitGroup
	next := make(chan int, len(cs))
	for i := range cs {
		next <- i
	}
	close(next)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				d, err := digest(&cs[i])
				if err != nil {
					t.Errorf("%s: %v", cs[i].ID, err)
				}
				lines[i] = strings.TrimRight(fmt.Sprintf("%s %s %s", cs[i].ID, d, cs[i].Profiles), " ")
			}
		})
	}
	wg.Wait()
	slices.Sort(lines)
	return lines
}

// The list of a version only grows: a case that is taken away, renamed, taken
// from a profile or changed under its name shows here.
func TestMustPass(t *testing.T) {
	lines := entries(t)
	old, err := os.ReadFile(listFile)
	require.NoError(t, err)
	list, err := readList(string(old))
	require.NoError(t, err)
	now := map[string]string{}
	for _, l := range lines {
		id, rest, _ := strings.Cut(l, " ")
		require.NotContains(t, now, id, "two cases have one ID")
		now[id] = rest
	}
	if *update {
		head := "# Cases of the suite, version " + Version + ": ID, digest of what it computes (- for behaviour), profiles.\n" +
			"# Written by: go test ./conformance -run TestMustPass -update\n"
		require.NoError(t, os.WriteFile(listFile, []byte(head+strings.Join(lines, "\n")+"\n"), 0o644))
		return
	}
	for _, l := range list {
		rest, ok := now[l.id]
		if !ok {
			t.Errorf("%s is gone or renamed: labs rely on it", l.id)
			continue
		}
		if want := strings.TrimRight(l.digest+" "+strings.Join(l.profiles, ","), " "); rest != want {
			t.Errorf("%s is %q, the list says %q: give a changed case a new ID", l.id, rest, want)
		}
		delete(now, l.id)
	}
	for _, id := range slices.Sorted(maps.Keys(now)) {
		t.Errorf("%s is not in %s: run go test ./conformance -run TestMustPass -update", id, listFile)
	}
}

func TestIDs(t *testing.T) {
	cs, err := cases("")
	require.NoError(t, err)
	form := regexp.MustCompile(`^[a-z]+(\.[a-z0-9_]+)+$`)
	for _, c := range cs {
		require.Regexp(t, form, c.ID)
		require.NotNil(t, c.Run, c.ID)
		require.Equal(t, c.Profiles, c.Profiles&suite.Profile(31), c.ID)
	}
}
