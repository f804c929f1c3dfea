package conformance

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-ml/heddle/conformance/internal/blocks"
	"github.com/heddle-ml/heddle/conformance/internal/cache"
	"github.com/heddle-ml/heddle/conformance/internal/determinism"
	"github.com/heddle-ml/heddle/conformance/internal/errors"
	"github.com/heddle-ml/heddle/conformance/internal/isolation"
	"github.com/heddle-ml/heddle/conformance/internal/lifecycle"
	"github.com/heddle-ml/heddle/conformance/internal/memory"
	"github.com/heddle-ml/heddle/conformance/internal/models"
	"github.com/heddle-ml/heddle/conformance/internal/onnx"
	"github.com/heddle-ml/heddle/conformance/internal/ops"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/conformance/internal/sync"
)

// Version names the suite: cases are only ever added to a version, and the
// version stays 0 until the contracts it checks are frozen.
const Version = "v0"

// cases returns the cases in the order that they run in: the contract first,
// then numbers, from small to large.
func cases(onnxTests string) ([]suite.Case, error) {
	own := slices.Concat(memory.Cases(), sync.Cases(), lifecycle.Cases(), errors.Cases(), cache.Cases(), determinism.Cases(), isolation.Cases(),
		ops.Cases(), blocks.Cases(), models.Cases())
	more, err := onnx.Cases(onnxTests)
	if err != nil {
		return nil, fmt.Errorf("conformance: %w", err)
	}
	return append(own, more...), nil
}

//go:embed mustpass/v0.txt
var mustPass string

// listed is an entry of the must-pass list.
type listed struct {
	id, digest string
	profiles   []string
}

// readList reads a must-pass list: for each case a line with its ID, the first
// digits of the hash of what it computes ("-" for behaviour), and its profiles.
func readList(text string) ([]listed, error) {
	var out []listed
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 2 || len(f) > 3 {
			return nil, fmt.Errorf("conformance: line %d of the must-pass list is %q, want an ID, a digest and profiles", n+1, line)
		}
		l := listed{id: f[0], digest: f[1]}
		if len(f) == 3 {
			l.profiles = strings.Split(f[2], ",")
		}
		out = append(out, l)
	}
	return out, nil
}
