package suite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Profile is a bit set of the profiles that a case is part of.
type Profile uint8

// The profiles. Each but Skeleton includes what it builds on; see Expand.
const (
	// Skeleton: the contract without any arithmetic: memory, timelines,
	// lifecycles, errors.
	Skeleton Profile = 1 << iota
	// Vision: a vision transformer and its projector in f32.
	Vision
	// Language: a decoder with KV cache in f32.
	Language
	// Quantized: weights of 8 and 4 bits, quantized activations and caches.
	Quantized
	// Multimodal: pictures and text together.
	Multimodal
)

var profileNames = []string{"skeleton", "vision", "language", "quantized", "multimodal"}

// ProfileNames lists the profiles, from the least to the most.
func ProfileNames() []string { return profileNames }

// ParseProfile returns a profile by name.
func ParseProfile(name string) (Profile, error) {
	for i, n := range profileNames {
		if n == name {
			return 1 << i, nil
		}
	}
	return 0, fmt.Errorf("conformance: there is no profile %q; there are %s", name, strings.Join(profileNames, ", "))
}

// String lists the names.
func (p Profile) String() string { return strings.Join(p.Names(), ",") }

// Names lists the names.
func (p Profile) Names() []string {
	out := []string{}
	for i, n := range profileNames {
		if p&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// Expand adds the profiles that those of p build on: every one is also a
// skeleton, and multimodal is vision and language.
func (p Profile) Expand() Profile {
	if p&Multimodal != 0 {
		p |= Vision | Language
	}
	if p != 0 {
		p |= Skeleton
	}
	return p
}

// Case is one check of the suite.
type Case struct {
	// ID is dotted, lower case, and never changes its meaning:
	// "ops.matmul.f32.m1_k1_n1".
	ID string
	// Profiles are those that ask for it; none for what goes beyond them.
	Profiles Profile
	// Alone cases count resources or stop devices: no other case runs
	// meanwhile.
	Alone bool
	// Timeout replaces the default of a minute.
	Timeout time.Duration
	// Define, if not nil, returns what the case computes, for the suite's
	// hash: a case cannot change under its name.
	Define func() ([]byte, error)
	// Run returns nil when the device passes, an error made by Unsupported
	// when it need not, any other one when it fails.
	Run func(ctx context.Context, e *Env) error
}

type unsupported struct{ reason string }

func (u unsupported) Error() string { return u.reason }

// Unsupported returns an error that says that the device does not claim what a
// case needs.
func Unsupported(format string, args ...any) error {
	return unsupported{fmt.Sprintf(format, args...)}
}

// IsUnsupported reports whether err was made by Unsupported.
func IsUnsupported(err error) bool {
	var u unsupported
	return errors.As(err, &u)
}
