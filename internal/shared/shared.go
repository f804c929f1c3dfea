package shared

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Root returns the top folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Dir returns the path of a set of files that is not part of the repository,
// such as "onnx-node-tests". Where it is absent the test is skipped and says
// so; with HEDDLE_REQUIRE_SHARED=1 it fails instead.
func Dir(tb testing.TB, set string) string {
	tb.Helper()
	base := os.Getenv("HEDDLE_SHARED")
	if base == "" {
		base = filepath.Join(Root(), "..", "shared")
	}
	path := filepath.Join(base, filepath.FromSlash(set))
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("HEDDLE_REQUIRE_SHARED") == "1" {
			tb.Fatalf("HEDDLE_REQUIRE_SHARED=1 but %s is missing: point HEDDLE_SHARED at the folder that holds it", path)
		}
		tb.Skipf("%s is absent: set HEDDLE_SHARED to the folder that holds %s", path, set)
	}
	return path
}

// Golden returns the path of a folder or file of testdata/golden, which is
// part of the repository.
func Golden(tb testing.TB, name string) string {
	tb.Helper()
	path := filepath.Join(Root(), "testdata", "golden", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("test data %s is missing: %v", path, err)
	}
	return path
}
