package conformance_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/conformance"
	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/fault"
	"github.com/heddle-ml/heddle/hal/isolate/host"
)

// faulty is the CPU with the fault that an environment variable describes, so
// that a child process can have it, too.
type faulty struct{ driver.Driver }

const faultVariable = "HEDDLE_TEST_FAULT"

func newFaulty() faulty {
	f, err := fault.Parse(os.Getenv(faultVariable))
	if err != nil {
		return faulty{cpu.Driver{}}
	}
	return faulty{fault.Driver(cpu.Driver{}, f)}
}

func (f faulty) Info() driver.Info {
	info := f.Driver.Info()
	info.Name = "faulty"
	return info
}

func TestMain(m *testing.M) {
	hal.Register(newFaulty())
	if status, child := host.Main(); child {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// defect is a fault, the cases that are run against it, and which of them have
// to notice.
type defect struct {
	fault string
	run   string // cases
	wrong string // those among them that have to fail, all of them
	may   string // others that may fail; what is left has to pass
	// status is what they fail with, Fail if empty.
	status conformance.Status
	// says is part of the reason that at least one of them gives.
	says string
	// spread tells that any other may fail, too: what is broken is beneath all
	// of them.
	spread   bool
	isolated bool
	timeout  time.Duration
}

const (
	someOps    = `^ops\.(matmul\.f32\.m(1|129)_|relu\.f32\.plain|add\.f32\.plain|gelu\.f32\.plain|transpose\.f32\.)`
	product    = `^ops\.matmul\.f32\.m(1|129)_`
	someBlocks = `^blocks\.(chunks\.kv_f32|cache|decoder\.f32\.chunks|vit\.f32\.t2)`
	someMath   = `^ops\.(relu|gelu)\.f32\.(plain|many)(\.steps)?$`
)

var defects = []defect{
	// Numbers.
	{fault: "bias@MatMul", run: someOps, wrong: product, says: "times what is allowed"},
	{fault: "bias@Gelu", run: someOps, wrong: `^ops\.gelu\.f32\.plain(\.steps)?$`},
	{fault: "element@MatMul", run: someOps, wrong: product},
	{fault: "tail@Relu", run: someOps, wrong: `^ops\.relu\.f32\.plain(\.steps)?$`},
	{fault: "sign@Sub", run: `^ops\.(add|sub)\.f32\.`, wrong: `^ops\.sub\.f32\.(full|row)`, may: `^ops\.sub\.`},
	{fault: "swap-rows@Transpose", run: someOps, wrong: `^ops\.transpose\.f32\.(reverse|p102|p021)`, may: `^ops\.transpose\.`, says: "nothing may differ"},
	{fault: "nan", run: `^ops\.(abs|neg|identity)\.f32\.`, wrong: `\.special$`, says: "NaN"},
	{fault: "half@MatMul", run: someOps, wrong: product},
	{fault: "off-by-two@QuantizeLinear", run: `^ops\.quantizelinear\.f32\.`, wrong: `\.[iu]8_(tensor|axis|rows|blocks)`, may: `\.([iu](8|16)_|default|precision|vector)`, says: "2 steps off"},
	{fault: "no-output@MatMul", run: someOps, wrong: product},
	{fault: "jitter", run: `^determinism\.matmul\.`, wrong: `^determinism\.matmul\.`, says: "differs from the first run"},
	// Memory.
	{fault: "overrun@Relu", run: someMath, wrong: `^ops\.relu\.f32\.(plain|many)(\.steps)?$`, says: "overwritten|written"},
	{fault: "write-input@Relu", run: someMath, wrong: `^ops\.relu\.f32\.(plain|many)(\.steps)?$`, says: "input"},
	{fault: "state-shift", run: someBlocks, wrong: `^blocks\.(chunks|cache)\.`, may: `decoder`},
	{fault: "state-drop", run: someBlocks, wrong: `^blocks\.(chunks|cache)\.`, may: `decoder`},
	{fault: "state-twice", run: someBlocks, wrong: `^blocks\.decoder\.f32\.`, may: `decoder|cache|chunks`},
	{fault: "copy-one-row", run: `^memory\.move\.`, wrong: `^memory\.move\.rows$`, spread: true},
	{fault: "dirty-memory", run: `^memory\.alloc\.`, wrong: `^memory\.alloc\.n4096$`, says: "zero", spread: true},
	{fault: "alias-memory", run: `^memory\.alloc\.`, wrong: `^memory\.alloc\.side_by_side$`, spread: true},
	{fault: "overcommit", run: `^memory\.limits\.`, wrong: `^memory\.limits\.heap$`, spread: true},
	{fault: "shared-scratch", run: `^sync\.crowd\.`, wrong: `^sync\.crowd\.(runs|executables)$`, spread: true},
	// Order.
	{fault: "early-signal", run: `^sync\.order\.`, wrong: `^sync\.order\.done_at_signal$`, spread: true},
	{fault: "never-signal", run: `^sync\.order\.in_queue$`, wrong: `.`, status: conformance.Timeout, timeout: 2 * time.Second},
	{fault: "ignore-wait", run: `^sync\.order\.`, wrong: `^sync\.order\.host_gate$`, spread: true},
	{fault: "ignore-cancel", run: `^sync\.timeline\.(cancel|deadline)$`, wrong: `.`, status: conformance.Timeout, timeout: 2 * time.Second, spread: true},
	{fault: "swallow-error", run: `^sync\.failure\.`, wrong: `^sync\.failure\.batch$`, spread: true},
	{fault: "refuse-submit:rate=0.5", run: `^sync\.order\.in_queue$`, wrong: `.`},
	{fault: "abandon", run: `^sync\.end\.working$`, wrong: `.`, status: conformance.Timeout, timeout: 2 * time.Second},
	// Answers.
	{fault: "wrong-error", run: `^memory\.limits\.`, wrong: `^memory\.limits\.heap$`, spread: true},
	{fault: "refuse-compile@Relu", run: someMath, wrong: `^ops\.relu\.`, says: "Compile did not"},
	{fault: "overclaim@Relu", run: someMath, wrong: `^ops\.relu\.`, says: "claims"},
	{fault: "accept-invalid", run: `^errors\.weights\.`, wrong: `^errors\.weights\.(no_source|failing_source|short_source|planned)$`, spread: true},
	{fault: "cache-anything", run: `^cache\.`, wrong: `^cache\.(truncated|flipped|foreign)`, spread: true},
	{fault: "cache-wrong", run: `^cache\.`, wrong: `^cache\.restore\.`, spread: true},
	// Ends.
	{fault: "leak", run: `^lifecycle\.cycles\.(open|runs)`, wrong: `^lifecycle\.cycles\.open$`, spread: true},
	{fault: "use-after-close", run: `^lifecycle\.cycles\.(queues|runs)`, wrong: `^lifecycle\.cycles\.queues$`, spread: true},
	{fault: "panic@Relu", run: someMath, wrong: `^ops\.relu\.`, status: conformance.Crash},
	{fault: "panic-compile@Relu", run: someMath, wrong: `^ops\.relu\.`, status: conformance.Crash},
	{fault: "crash@Relu", run: someMath, wrong: `^ops\.relu\.`, status: conformance.Crash, says: "ended with", isolated: true},
	{fault: "crash-compile@Relu", run: someMath, wrong: `^ops\.relu\.`, status: conformance.Crash, isolated: true},
	{fault: "hang@Relu", run: `^ops\.(relu|gelu)\.f32\.plain$`, wrong: `^ops\.relu\.`, status: conformance.Timeout, timeout: 2 * time.Second, isolated: true},
	{fault: "hang-compile@Relu", run: `^ops\.(relu|gelu)\.f32\.plain$`, wrong: `^ops\.relu\.`, status: conformance.Timeout, timeout: 2 * time.Second, isolated: true},
	{fault: "lost@Relu", run: someMath, wrong: `^ops\.relu\.`, status: conformance.Crash},
}

// The suite notices each kind of defect, in the cases that are about it, and
// those that are not still pass.
func TestDefects(t *testing.T) {
	for _, d := range defects {
		t.Run(d.fault, func(t *testing.T) {
			o := conformance.Options{Match: regexp.MustCompile(d.run), Timeout: d.timeout, Isolate: d.isolated, Jobs: 1}
			var drv driver.Driver
			if d.isolated {
				t.Setenv(faultVariable, d.fault)
				drv = newFaulty()
			} else {
				f, err := fault.Parse(d.fault)
				require.NoError(t, err)
				drv = fault.Driver(cpu.Driver{}, f)
			}
			rep, err := conformance.Run(t.Context(), drv, o)
			require.NoError(t, err)
			require.False(t, rep.Passed())
			want := d.status
			if want == "" {
				want = conformance.Fail
			}
			wrong, may := regexp.MustCompile(d.wrong), regexp.MustCompile(d.may)
			spread := d.spread || d.may != "" // an empty expression matches everything
			noticed := 0
			var reasons []string
			for _, r := range rep.Results {
				switch {
				case !wrong.MatchString(r.ID):
					if r.Status != conformance.Pass && r.Status != conformance.Unsupported && !(spread && may.MatchString(r.ID)) {
						t.Errorf("%s is %s, though it is not about the defect: %s", r.ID, r.Status, r.Reason)
					}
				case r.Status != want:
					t.Errorf("%s is %s, want %s: %s", r.ID, r.Status, want, r.Reason)
				default:
					noticed++
					reasons = append(reasons, r.Reason)
				}
			}
			require.NotZero(t, noticed, "no case matches %s", d.wrong)
			if d.says != "" {
				require.Regexp(t, d.says, strings.Join(reasons, "\n"))
			}
		})
	}
}

// Every kind of fault is tried.
func TestDefectsAreAll(t *testing.T) {
	tried := map[fault.Kind]bool{}
	for _, d := range defects {
		f, err := fault.Parse(d.fault)
		require.NoError(t, err)
		tried[f.Kind] = true
	}
	for _, k := range fault.Kinds() {
		switch k.Kind {
		case fault.Slow, fault.Revive: // speed is measured, not judged; what works again is no defect of a case
			continue
		}
		require.True(t, tried[k.Kind], fmt.Sprintf("no defect of kind %s is tried", k.Kind))
	}
}
