package feat

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/cpu"
)

// Env is the environment variable that forces a tier, by its name.
const Env = "HEDDLE_CPU"

// Tier identifies a set of kernels by the instructions it needs. Later tiers
// of one architecture need everything that earlier ones need.
type Tier uint8

const (
	// Generic is portable Go. It runs everywhere and is the reference that the
	// other tiers are tested against.
	Generic Tier = iota
	// NEON is arm64 with Advanced SIMD, which every arm64 processor has.
	NEON
	// AVX2 is amd64 with AVX2, FMA and F16C, all enabled by the system.
	AVX2

	numTiers
)

var names = [numTiers]string{Generic: "generic", NEON: "neon", AVX2: "avx2"}

// String returns the name that HEDDLE_CPU accepts.
func (t Tier) String() string {
	if t < numTiers {
		return names[t]
	}
	return fmt.Sprintf("tier(%d)", uint8(t))
}

// Parse is the inverse of String; case does not matter.
func Parse(name string) (Tier, error) {
	for t, n := range names {
		if strings.EqualFold(name, n) {
			return Tier(t), nil
		}
	}
	return Generic, fmt.Errorf("unknown CPU tier %q: use one of %s", name, strings.Join(names[:], ", "))
}

// Tiers returns every tier this source knows, on any architecture, slowest
// first.
func Tiers() []Tier {
	all := make([]Tier, numTiers)
	for i := range all {
		all[i] = Tier(i)
	}
	return all
}

// Set is what the running processor and system offer. Fields that belong to
// another architecture are false.
type Set struct {
	Arch string // GOARCH

	AVX2, FMA, F16C                          bool // amd64
	AVX512F, AVX512BW, AVX512VL, AVX512VNNI  bool // amd64, not used by a tier yet
	AVXVNNI                                  bool // amd64, not used by a tier yet
	ASIMD, HalfPrecision, DotProd, I8MM, SVE bool // arm64; only ASIMD is used by a tier yet
}

// Detect reads the features. x/sys/cpu has already asked the system whether it
// saves the wide registers, so a true field is usable.
func Detect() Set {
	return Set{
		Arch:    runtime.GOARCH,
		AVX2:    cpu.X86.HasAVX2,
		FMA:     cpu.X86.HasFMA,
		F16C:    cpu.X86.HasF16C,
		AVX512F: cpu.X86.HasAVX512F, AVX512BW: cpu.X86.HasAVX512BW,
		AVX512VL: cpu.X86.HasAVX512VL, AVX512VNNI: cpu.X86.HasAVX512VNNI,
		AVXVNNI: cpu.X86.HasAVXVNNI,
		// Advanced SIMD is part of the arm64 base that Go requires; asking the
		// system for it fails where the answer is not exported (Darwin).
		ASIMD:         runtime.GOARCH == "arm64",
		HalfPrecision: cpu.ARM64.HasASIMDHP,
		DotProd:       cpu.ARM64.HasASIMDDP,
		I8MM:          cpu.ARM64.HasI8MM,
		SVE:           cpu.ARM64.HasSVE,
	}
}

// Missing returns the name of the first feature that tier t needs and s lacks,
// or "" when t can run.
func (s Set) Missing(t Tier) string {
	switch t {
	case Generic:
		return ""
	case NEON:
		if s.Arch != "arm64" {
			return "arm64"
		}
		return first(need{"ASIMD", s.ASIMD})
	case AVX2:
		if s.Arch != "amd64" {
			return "amd64"
		}
		return first(need{"AVX2", s.AVX2}, need{"FMA", s.FMA}, need{"F16C", s.F16C})
	}
	return t.String()
}

type need struct {
	name string
	have bool
}

func first(needs ...need) string {
	for _, n := range needs {
		if !n.have {
			return n.name
		}
	}
	return ""
}

// Forced returns the tier named by HEDDLE_CPU. ok is false when the variable is
// unset or empty. A name that no tier has is an error.
func Forced() (t Tier, ok bool, err error) {
	name := os.Getenv(Env)
	if name == "" {
		return Generic, false, nil
	}
	t, err = Parse(name)
	if err != nil {
		return Generic, false, fmt.Errorf("%s: %w", Env, err)
	}
	return t, true, nil
}
