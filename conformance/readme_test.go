package conformance

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/conformance/internal/tol"
	"github.com/heddle-ml/heddle/ops"
)

// README.md has the tolerances as the suite has them, and names every profile,
// status and group.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile("README.md")
	require.NoError(t, err)
	text := string(data)
	const from, to = "<!-- tolerances: go test ./conformance -run TestReadme -update -->\n", "<!-- /tolerances -->\n"
	before, rest, ok := strings.Cut(text, from)
	require.True(t, ok)
	table, after, ok := strings.Cut(rest, to)
	require.True(t, ok)
	if *update {
		require.NoError(t, os.WriteFile("README.md", []byte(before+from+tolerances()+to+after), 0o644))
	} else {
		require.Equal(t, tolerances(), table, "run go test ./conformance -run TestReadme -update")
	}
	require.Len(t, tol.Table, int(ops.Quantized)+1)
	for _, p := range suite.ProfileNames() {
		require.Contains(t, text, "| `"+p+"` | ")
	}
	for _, s := range statuses {
		require.Contains(t, text, "| `"+string(s)+"` | ")
	}
	list, err := List("")
	require.NoError(t, err)
	for _, c := range list {
		require.Contains(t, text, "| `"+group(c.ID)+"` | ")
	}
}

// tolerances prints the table of tolerances.
func tolerances() string {
	var b strings.Builder
	b.WriteString("| class or operator | Units | Sum | Growth | steps of codes | because |\n| --- | --: | --: | --: | --: | --- |\n")
	row := func(name string, r tol.Rule) {
		cell := func(v float64) string {
			if v == 0 {
				return ""
			}
			return fmt.Sprint(v)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", name, cell(r.Units), cell(r.Sum), cell(r.Growth), cell(float64(r.Codes)), r.Why)
	}
	for i, name := range []string{"exact", "rounded", "approximate", "contraction", "quantized"} {
		row(name, tol.Table[ops.Class(i)])
	}
	for _, name := range slices.Sorted(maps.Keys(tol.Operators)) {
		row("`"+name+"`", tol.Operators[name])
	}
	return b.String()
}
