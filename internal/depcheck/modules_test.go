package depcheck

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
)

func read(t *testing.T, name string) string {
	data, err := os.ReadFile(filepath.Join(shared.Root(), name))
	require.NoError(t, err)
	return string(data)
}

// direct returns go.mod's requirements that are not marked as indirect.
func direct(t *testing.T) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^(?:require\s+|\t)(\S+) v\S+[ \t]*(// indirect)?`).FindAllStringSubmatch(read(t, "go.mod"), -1) {
		if m[2] == "" {
			out = append(out, m[1])
		}
	}
	slices.Sort(out)
	return out
}

// The table under "Dependencies" in README.md is go.mod's list.
func TestReadmeListsTheDependencies(t *testing.T) {
	_, section, ok := strings.Cut(read(t, "README.md"), "\n## Dependencies\n")
	require.True(t, ok, "README.md has a section on dependencies")
	section, _, _ = strings.Cut(section, "\n## ")
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(section, -1) {
		listed = append(listed, m[1])
	}
	require.Equal(t, direct(t), listed, "in order")
}

// A requirement that no file imports is one too many; one that a file
// imports is direct.
func TestRequirementsAreUsed(t *testing.T) {
	wanted := direct(t)
	require.NotEmpty(t, wanted)
	used := map[string]bool{}
	for _, f := range tree(t) {
		for _, i := range f.imports {
			if _, ok := ours(i); ok || isStd(i) || i == "C" {
				continue
			}
			at := slices.IndexFunc(wanted, func(m string) bool { return matches(m+"/...", i) })
			if at < 0 {
				t.Errorf("%s imports %s, which go.mod does not require directly", f.path, i)
				continue
			}
			used[wanted[at]] = true
		}
	}
	for _, m := range wanted {
		if !used[m] {
			t.Errorf("go.mod requires %s, which nothing imports", m)
		}
	}
}
