package feat_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern/feat"
)

func TestParseIsInverseOfString(t *testing.T) {
	for _, tier := range feat.Tiers() {
		got, err := feat.Parse(strings.ToUpper(tier.String()))
		if err != nil || got != tier {
			t.Errorf("Parse(%q) = %v, %v", tier.String(), got, err)
		}
	}
	if _, err := feat.Parse("sse9"); err == nil || !strings.Contains(err.Error(), "avx2") {
		t.Errorf("Parse of an unknown name: %v, want an error that lists the names", err)
	}
}

func TestMissing(t *testing.T) {
	full := feat.Set{Arch: "amd64", AVX2: true, FMA: true, F16C: true}
	noFMA := full
	noFMA.FMA = false
	for _, c := range []struct {
		set  feat.Set
		tier feat.Tier
		want string
	}{
		{full, feat.Generic, ""},
		{full, feat.AVX2, ""},
		{noFMA, feat.AVX2, "FMA"},
		{full, feat.NEON, "arm64"},
		{feat.Set{Arch: "arm64", ASIMD: true}, feat.NEON, ""},
		{feat.Set{Arch: "arm64", ASIMD: true}, feat.AVX2, "amd64"},
		{feat.Set{Arch: "riscv64"}, feat.Generic, ""},
	} {
		if got := c.set.Missing(c.tier); got != c.want {
			t.Errorf("%+v.Missing(%v) = %q, want %q", c.set, c.tier, got, c.want)
		}
	}
}

func TestForced(t *testing.T) {
	t.Setenv(feat.Env, "")
	if _, ok, err := feat.Forced(); ok || err != nil {
		t.Errorf("empty variable: ok=%v err=%v", ok, err)
	}
	t.Setenv(feat.Env, "generic")
	if tier, ok, err := feat.Forced(); tier != feat.Generic || !ok || err != nil {
		t.Errorf("generic: %v %v %v", tier, ok, err)
	}
	t.Setenv(feat.Env, "fast")
	if _, _, err := feat.Forced(); err == nil || !strings.Contains(err.Error(), feat.Env) {
		t.Errorf("unknown tier: %v, want an error naming %s", err, feat.Env)
	}
}

func TestDetect(t *testing.T) {
	if got := feat.Detect().Arch; got != runtime.GOARCH {
		t.Errorf("Arch = %q", got)
	}
}

func ExampleParse() {
	t, err := feat.Parse("AVX2")
	fmt.Println(t, err)
	// Output: avx2 <nil>
}
