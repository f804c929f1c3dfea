package depcheck

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// room says what the packages of a folder may import, besides the standard
// library. The first room that matches counts.
type room struct {
	dirs   string   // a folder, or with /... everything below it too
	ours   []string // of this module, as patterns
	others []string // of other modules, as patterns
}

var ir = []string{"graph", "graph/dim", "graph/enc"}

func and(a []string, b ...string) []string { return slices.Concat(a, b) }

var rooms = []room{
	// The IR knows names, not meanings.
	{dirs: "graph/dim"},
	{dirs: "graph/enc", ours: []string{"graph/dim"}},
	{dirs: "graph", ours: []string{"graph/dim", "graph/enc"}},
	{dirs: "graph/passes", ours: and(ir, "ops", "ops/oracle")}, // constants are folded by evaluating them
	{dirs: "graph/onnx/internal/pb", others: []string{"google.golang.org/protobuf/encoding/protowire"}},
	{dirs: "graph/onnx", ours: and(ir, "graph/onnx/internal/pb", "ops", "ops/oracle")},

	// Meanings. The oracle judges the kernels, so neither knows the other.
	{dirs: "ops", ours: ir},
	{dirs: "ops/oracle", ours: and(ir, "ops")},
	{dirs: "ops/kern/...", ours: []string{"ops/kern/..."}, others: []string{"golang.org/x/sys/..."}},

	// The contract and what apps hold.
	{dirs: "hal/driver", ours: ir},
	{dirs: "hal/validate", ours: and(ir, "hal/driver")},
	{dirs: "hal/abi", ours: and(ir, "hal/driver")},
	{dirs: "hal/isolate/host", ours: and(ir, "hal", "hal/driver", "hal/isolate/internal/...", "ops"), others: []string{"golang.org/x/sys/unix"}},
	{dirs: "hal/isolate/...", ours: and(ir, "hal/driver", "hal/isolate/internal/..."), others: []string{"golang.org/x/sys/unix"}},
	{dirs: "hal/internal/selfcheck", ours: and(ir, "hal/driver", "ops", "ops/oracle")}, // its blocks are judged by the oracle
	{dirs: "hal/internal/wellformed", ours: and(ir, "ops")},                            // drivers see no graph that was not verified
	{dirs: "hal/fault", ours: and(ir, "hal/driver")},
	{dirs: "hal", ours: and(ir, "hal/driver", "hal/validate", "hal/isolate", "hal/internal/...")},

	// Drivers know the contract and the operators; only their sets know them.
	{dirs: "drivers/static", ours: []string{"drivers/cpu"}},
	{dirs: "drivers/all", ours: []string{"drivers/static", "drivers/null", "drivers/plugin"}},
	{dirs: "drivers/internal/dl", others: []string{"github.com/ebitengine/purego"}},
	{dirs: "drivers/plugin", ours: and(ir, "graph/passes", "graph/onnx", "hal", "hal/abi", "hal/driver", "ops", "drivers/internal/..."), others: []string{"golang.org/x/sys/unix"}},
	{dirs: "drivers/cpu", ours: and(ir, "graph/passes", "hal", "hal/driver", "ops", "ops/kern/..."), others: []string{"golang.org/x/sys/..."}},
	{dirs: "drivers/...", ours: and(ir, "graph/passes", "hal", "hal/driver", "ops", "drivers/internal/...")}, // and its own folder, see allows

	// The scheduler knows devices, but no driver; models know neither.
	{dirs: "scheduler/...", ours: and(ir, "graph/passes", "hal", "hal/driver", "ops", "scheduler/...")},
	{dirs: "models/token", ours: []string{"models/ckpt/..."}, others: []string{"github.com/dlclark/regexp2", "golang.org/x/text/..."}},
	{dirs: "models/chat/...", ours: []string{"models/chat/..."}, others: []string{"golang.org/x/text/..."}},
	{dirs: "models/img/...", ours: []string{"models/img/..."}, others: []string{"golang.org/x/image/..."}},
	{dirs: "models/ckpt/...", ours: and(ir, "models/ckpt/..."), others: []string{"golang.org/x/sys/unix"}},
	{dirs: "models/sample"},
	{dirs: "models/...", ours: and(ir, "graph/passes", "graph/onnx", "hal", "hal/driver", "ops", "scheduler/...", "models/...")},

	// The suite judges drivers through what apps hold; only the cases on whole
	// models know models.
	{dirs: "conformance/internal/models", ours: and(ir, "hal", "hal/driver", "ops", "ops/oracle", "scheduler", "models/...", "conformance/internal/...")},
	{dirs: "conformance/...", ours: and(ir, "graph/onnx", "graph/passes", "hal", "hal/driver", "hal/validate", "hal/isolate", "ops", "ops/oracle", "internal/onnxcases", "conformance/...")},

	{dirs: "tools/heddle-host", ours: []string{"hal/isolate/host", "drivers/all"}},
	{dirs: "tools/abigen", ours: []string{"hal/abi"}},
	{dirs: "tools/mutate", ours: []string{"conformance"}},
	{dirs: "tools/heddle/...", ours: []string{"graph/...", "ops", "hal", "hal/driver", "hal/isolate/...", "drivers/...", "scheduler/...", "models/...", "conformance", "tools/heddle/..."},
		others: []string{"github.com/spf13/cobra", "github.com/schollz/progressbar/v3", "golang.org/x/term", "golang.org/x/sys/..."}},

	// Helpers of tests.
	{dirs: "internal/shared"},
	{dirs: "internal/onnxcases", ours: and(ir, "graph/onnx")},
	{dirs: "internal/depcheck", ours: []string{"internal/shared"}},
}

func roomOf(dir string) *room {
	i := slices.IndexFunc(rooms, func(r room) bool { return matches(r.dirs, dir) })
	if i < 0 {
		return nil
	}
	return &rooms[i]
}

// driverOf returns the folder of the driver that a package is part of, "" for
// other packages.
func driverOf(dir string) string {
	parts := strings.SplitN(dir, "/", 3)
	if len(parts) < 2 || parts[0] != "drivers" || parts[1] == "all" || parts[1] == "static" || parts[1] == "internal" {
		return ""
	}
	return parts[0] + "/" + parts[1]
}

// allows returns "" or why a package of the room may not import something.
func (r *room) allows(from, imported string) string {
	if dir, ok := ours(imported); ok {
		if d := driverOf(dir); matchesAny(r.ours, dir) || d != "" && d == driverOf(from) {
			return ""
		}
		return fmt.Sprintf("room %s may import of ours: %s", r.dirs, strings.Join(r.ours, ", "))
	}
	if isStd(imported) || matchesAny(r.others, imported) {
		return ""
	}
	return fmt.Sprintf("room %s may import of others: %s", r.dirs, strings.Join(r.others, ", "))
}

func TestEveryPackageKeepsToItsRoom(t *testing.T) {
	files := tree(t)
	used := map[*room]bool{}
	for _, dir := range packages(files) {
		r := roomOf(dir)
		if r == nil {
			t.Errorf("%s is in no room: add it to the table in rooms_test.go, with what it may import", dir)
			continue
		}
		used[r] = true
	}
	for _, f := range files {
		r := roomOf(f.in())
		if f.test || r == nil {
			continue
		}
		for _, i := range f.imports {
			if why := r.allows(f.in(), i); why != "" {
				t.Errorf("%s imports %q: %s", f.path, i, why)
			}
		}
	}
	for i := range rooms {
		if !used[&rooms[i]] {
			t.Errorf("room %s is empty: remove it from the table", rooms[i].dirs)
		}
	}
}

// What must hold along whole chains of imports, however the table is changed.
func TestDirections(t *testing.T) {
	files := tree(t)
	all := packages(files)
	var drivers []string
	for _, dir := range all {
		if driverOf(dir) != "" {
			drivers = append(drivers, dir)
		}
	}
	require.Subset(t, drivers, []string{"drivers/cpu", "drivers/null"})
	for _, dir := range all {
		reached := closure(files, dir)
		delete(reached, dir)
		never := func(patterns ...string) {
			for name := range reached {
				if matchesAny(patterns, name) {
					t.Errorf("%s reaches %s", dir, name)
				}
			}
		}
		switch {
		case matches("graph", dir) || matches("graph/dim", dir) || matches("graph/enc", dir):
			never("ops/...", "hal/...", "drivers/...", "scheduler/...", "models/...", "tools/...")
		case matches("graph/...", dir) || matches("ops/...", dir):
			never("hal/...", "drivers/...", "scheduler/...", "models/...", "tools/...")
		case matches("hal/...", dir):
			never("ops/kern/...", "drivers/...", "scheduler/...", "models/...", "tools/...")
			// Only the self-check knows what operators compute, and wellformed
			// what they take; hal has both run, and the host of isolated devices
			// opens them through hal.
			if dir != "hal" && dir != "hal/internal/selfcheck" && dir != "hal/internal/wellformed" && !matches("hal/isolate/host", dir) {
				never("ops/...")
			}
		case driverOf(dir) != "":
			never("scheduler/...", "models/...", "tools/...", "conformance/...", "drivers/all", "drivers/static")
			for name := range reached {
				if d := driverOf(name); d != "" && d != driverOf(dir) {
					t.Errorf("driver %s reaches driver %s", dir, name)
				}
			}
		case matches("scheduler/...", dir):
			never("drivers/...", "models/...", "tools/...")
		case matches("models/...", dir):
			never("drivers/...", "tools/...")
		}
		if matches("ops/kern/...", dir) {
			never("graph/...", "ops", "ops/oracle")
		}
		if dir == "ops/oracle" {
			never("ops/kern/...")
		}
		// Test helpers end up in no program, but for the suite, which is one that
		// ships, and what runs it.
		if !matchesAny([]string{"internal/...", "conformance/...", "tools/heddle/...", "tools/mutate"}, dir) {
			never("internal/...", "testing")
		}
	}
}

// The core is what a static program links: no cgo and no purego, which would
// make it dynamic.
func TestTheStaticTierIsPure(t *testing.T) {
	files := tree(t)
	reached := closure(files, "drivers/static", "models", "scheduler", "hal", "graph/onnx")
	require.True(t, reached["drivers/cpu"] && reached["ops/kern"], "the closure is computed")
	for name := range reached {
		if name == "C" || matches("github.com/ebitengine/purego/...", name) || matches("github.com/go-gl/...", name) || matches("drivers/internal/dl/...", name) {
			t.Errorf("a static program reaches %s", name)
		}
	}
}

// Doors: what only one folder may import, tests included.
func TestDoors(t *testing.T) {
	for _, f := range tree(t) {
		for _, i := range f.imports {
			switch {
			case matches("github.com/ebitengine/purego/...", i) && !matches("drivers/internal/dl/...", f.in()):
				t.Errorf("%s imports %s: only drivers/internal/dl does, so that one place decides how libraries are loaded", f.path, i)
			case (i == "C" || matches("github.com/go-gl/...", i)) && !matches("drivers/opengl/...", f.in()):
				t.Errorf("%s imports %s: only drivers/opengl uses cgo", f.path, i)
			case matches("github.com/stretchr/testify/...", i) && !f.test:
				t.Errorf("%s imports %s: only tests do", f.path, i)
			}
			if _, ok := ours(i); !f.test || ok || isStd(i) || i == "C" {
				continue
			}
			r := roomOf(f.in())
			if !matches("github.com/stretchr/testify/...", i) && (r == nil || !matchesAny(r.others, i)) {
				t.Errorf("%s imports %s: tests import testify and what their room may", f.path, i)
			}
		}
	}
}

func TestPatterns(t *testing.T) {
	require.True(t, matches("hal", "hal"))
	require.False(t, matches("hal", "hal/driver"))
	require.True(t, matches("hal/...", "hal"))
	require.True(t, matches("hal/...", "hal/driver"))
	require.False(t, matches("hal/...", "halo"))
	for name, want := range map[string]string{module: "", module + "/hal/driver": "hal/driver"} {
		dir, ok := ours(name)
		require.True(t, ok)
		require.Equal(t, want, dir)
	}
	_, ok := ours(module + "-more/x")
	require.False(t, ok)
	require.True(t, isStd("encoding/json"))
	require.False(t, isStd("golang.org/x/sys/cpu"))
	require.False(t, isStd("C"))
	require.Equal(t, "drivers/qnn", driverOf("drivers/qnn/internal/abi"))
	require.Empty(t, driverOf("drivers/all")+driverOf("drivers/internal/dl")+driverOf("hal/driver"))
	require.Empty(t, roomOf("drivers/qnn").allows("drivers/qnn", module+"/drivers/qnn/internal/abi"))
	// The rules refuse something.
	for from, imported := range map[string]string{
		"graph": module + "/ops", "ops/oracle": module + "/ops/kern", "ops/kern/gemm": module + "/graph", "hal": module + "/ops",
		"scheduler": module + "/drivers/cpu", "models": module + "/drivers/cpu", "drivers/cpu": module + "/scheduler",
		"drivers/null": module + "/drivers/cpu", "models/token": "github.com/spf13/cobra",
	} {
		require.NotEmpty(t, roomOf(from).allows(from, imported), "%s may not import %s", from, imported)
	}
}
