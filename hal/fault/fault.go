package fault

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Fault is a defect and when it strikes. The zero values of all fields but
// Kind mean every call. A call is whatever the kind strikes: a run, a batch,
// an allocation.
type Fault struct {
	Kind Kind
	// Op and Node, if not empty, restrict it to graphs with a node of that
	// operator ("MatMul", "heddle.Linear") and name. Allocations and what is not
	// about graphs are not restricted.
	Op, Node string
	// After lets so many calls go well first.
	After int
	// Times bounds how often it strikes, over all devices of the driver; 0
	// means without end.
	Times int
	// Rate is the chance that a call is struck, drawn from Seed; 0 means 1.
	Rate float64
	Seed uint64
	// Amount is how bad it is, where the kind says so; 0 means what it says.
	Amount float64
	// Struck, if not nil, is called each time it strikes, from any goroutine,
	// and must not call the device: a test knows then that there was
	// something to notice.
	Struck func()
}

// Parse reads the text form: a kind, optionally an operator behind "@",
// optionally settings behind a colon:
//
//	bias@MatMul:rate=0.5,seed=7,amount=0.01
//	lost:after=100
//	nan:node=layer.3.mlp,times=1
func Parse(text string) (Fault, error) {
	bad := func(format string, args ...any) (Fault, error) {
		return Fault{}, fmt.Errorf("fault: %q: %s; write kind@operator:node=...,after=...,times=...,rate=...,seed=...,amount=..., all but the kind optional", text, fmt.Sprintf(format, args...))
	}
	head, settings, more := strings.Cut(text, ":")
	kind, op, at := strings.Cut(head, "@")
	f := Fault{Kind: Kind(kind), Op: op}
	if at && op == "" {
		return bad("no operator behind @")
	}
	if more && settings == "" {
		return bad("no setting behind the colon")
	}
	seen := map[string]bool{}
	for item := range strings.SplitSeq(settings, ",") {
		if !more {
			break
		}
		key, value, ok := strings.Cut(item, "=")
		if !ok || seen[key] {
			return bad("%q is no setting, or there twice", item)
		}
		seen[key] = true
		var err error
		switch key {
		case "node":
			f.Node = value
		case "after":
			f.After, err = strconv.Atoi(value)
		case "times":
			f.Times, err = strconv.Atoi(value)
		case "rate":
			f.Rate, err = strconv.ParseFloat(value, 64)
		case "seed":
			f.Seed, err = strconv.ParseUint(value, 10, 64)
		case "amount":
			f.Amount, err = strconv.ParseFloat(value, 64)
		default:
			return bad("there is no setting %q", key)
		}
		if err != nil {
			return bad("%s is no number", item)
		}
	}
	if err := f.Valid(); err != nil {
		return bad("%s", strings.TrimPrefix(err.Error(), "fault: "))
	}
	return f, nil
}

// String returns the text form, which Parse reads.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(string(f.Kind))
	if f.Op != "" {
		b.WriteString("@" + f.Op)
	}
	sep := ":"
	add := func(key, value string, there bool) {
		if there {
			b.WriteString(sep + key + "=" + value)
			sep = ","
		}
	}
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	add("node", f.Node, f.Node != "")
	add("after", strconv.Itoa(f.After), f.After != 0)
	add("times", strconv.Itoa(f.Times), f.Times != 0)
	add("rate", number(f.Rate), f.Rate != 0)
	add("seed", strconv.FormatUint(f.Seed, 10), f.Seed != 0)
	add("amount", number(f.Amount), f.Amount != 0)
	return b.String()
}

// Valid returns nil, or what is wrong with f.
func (f Fault) Valid() error {
	switch {
	case !f.Kind.valid():
		names := make([]string, len(kinds))
		for i, k := range kinds {
			names[i] = string(k.Kind)
		}
		return fmt.Errorf("fault: there is no kind %q; there are %s", string(f.Kind), strings.Join(names, ", "))
	case f.After < 0 || f.Times < 0:
		return fmt.Errorf("fault: %s: after %d and times %d may not be negative", f.Kind, f.After, f.Times)
	case math.IsNaN(f.Rate) || f.Rate < 0 || f.Rate > 1:
		return fmt.Errorf("fault: %s: rate %v is not from 0 to 1", f.Kind, f.Rate)
	case math.IsNaN(f.Amount) || math.IsInf(f.Amount, 0) || f.Amount < 0:
		return fmt.Errorf("fault: %s: amount %v is no finite positive number", f.Kind, f.Amount)
	case strings.ContainsAny(f.Op, ":@,=") || strings.ContainsAny(f.Node, ","):
		return fmt.Errorf("fault: %s: operator %q or node %q is no name", f.Kind, f.Op, f.Node)
	}
	return nil
}

// matches reports whether a graph has a node that f is about.
func (f *Fault) matches(g *graph.Graph) bool {
	if f.Op == "" && f.Node == "" {
		return true
	}
	return g != nil && slices.ContainsFunc(g.Nodes, func(n graph.Node) bool { return f.matchesNode(&n) })
}

func (f *Fault) matchesNode(n *graph.Node) bool {
	return (f.Op == "" || n.Op.String() == f.Op) && (f.Node == "" || n.Name == f.Node)
}

// amount returns Amount, or what it is by default.
func (f *Fault) amount(def float64) float64 {
	if f.Amount != 0 {
		return f.Amount
	}
	return def
}

// armed is a fault with its count of calls. Safe for concurrent use.
type armed struct {
	Fault
	mu            sync.Mutex
	calls, struck int
	rng           *rand.Rand
}

func arm(f Fault) *armed { return &armed{Fault: f, rng: rand.New(rand.NewPCG(f.Seed, 0x5eed))} }

// strikes counts a call and tells whether it is struck.
func (a *armed) strikes() bool {
	a.mu.Lock()
	a.calls++
	hit := a.calls > a.After && (a.Times == 0 || a.struck < a.Times) && (a.Rate == 0 || a.rng.Float64() < a.Rate)
	if hit {
		a.struck++
	}
	a.mu.Unlock()
	if hit && a.Struck != nil {
		a.Struck()
	}
	return hit
}

// intn draws a number from 0 to n-1.
func (a *armed) intn(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rng.IntN(n)
}

// failure makes a struck call's error.
func (a *armed) failure(what string, cause error) error {
	if cause == nil {
		return fmt.Errorf("fault %s: %s", a.Kind, what)
	}
	return fmt.Errorf("fault %s: %s: %w", a.Kind, what, cause)
}

var errClosed = fmt.Errorf("fault: the queue was closed: %w", driver.ErrClosed)
