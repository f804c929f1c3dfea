package selfcheck_test

import (
	"context"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/fault"
	"github.com/heddle-ml/heddle/hal/internal/selfcheck"
)

func open(t testing.TB, d driver.Driver) driver.Device {
	dev, err := d.Open(t.Context(), "0", driver.OpenOptions{Threads: 2})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dev.Close()) })
	return dev
}

// blocks is how many there are.
const blocks = 9

// The CPU passes every block in f32, far inside of the limits, and in the
// time that an app can spare.
func TestTheCPUPasses(t *testing.T) {
	dev := open(t, cpu.Driver{})
	start := time.Now()
	results, err := selfcheck.Run(t.Context(), dev)
	took := time.Since(start)
	require.NoError(t, err)
	require.Len(t, results, blocks)
	for _, r := range results {
		require.Equal(t, selfcheck.Pass, r.Status, "%s: %s", r.Block, r.Detail)
		require.Equal(t, "f32", r.Elem)
		require.Less(t, r.Measure.NMSE, 1e-10, r.Block)
		require.Less(t, math.Abs(r.Measure.Gain), 1e-5, r.Block)
		require.Less(t, r.Measure.Worst, 1e-4, r.Block)
		t.Logf("%-26s nmse %.1e gain %+.1e worst %.1e", r.Block, r.Measure.NMSE, r.Measure.Gain, r.Measure.Worst)
	}
	t.Log("took", took)
	if runtime.GOARCH == "amd64" && !raceEnabled {
		require.Less(t, took, 5*time.Second)
	}
}

// What a device must not do shows in a block.
func TestFaultsAreSeen(t *testing.T) {
	for text, block := range map[string]string{
		"bias:amount=0.004":            "product",
		"sign@Attention":               "vision block",
		"element@MatMul":               "product",
		"element@TensorScatter":        "decoder block",
		"tail":                         "product",
		"tail@Conv":                    "convolution",
		"swap-rows@LayerNormalization": "norms",
		"nan@Softmax:amount=2":         "norms",
		"no-output":                    "product",
		"state-drop":                   "decoder block",
		"state-shift":                  "decoder block",
		"revive":                       "product",
		"lost:after=3":                 "product of Q8_0 weights",
	} {
		t.Run(text, func(t *testing.T) {
			f, err := fault.Parse(text)
			require.NoError(t, err)
			dev, err := fault.Driver(cpu.Driver{}, f).Open(t.Context(), "0", driver.OpenOptions{Threads: 2})
			require.NoError(t, err)
			results, err := selfcheck.Run(t.Context(), dev)
			require.NoError(t, err)
			last := results[len(results)-1]
			require.Equal(t, selfcheck.Fail, last.Status, "%v", results)
			require.Equal(t, block, last.Block)
			require.NotEmpty(t, last.Detail)
			require.Equal(t, f.Kind == fault.Lost || f.Kind == fault.Revive, last.Lost)
			t.Log(last.Detail)
			for _, r := range results[:len(results)-1] {
				require.Equal(t, selfcheck.Pass, r.Status)
			}
			_ = dev.Close()
		})
	}
}

// What is only imprecise passes: to tell how good a device is takes the
// conformance suite.
func TestHonestDevicesPass(t *testing.T) {
	for _, f := range []fault.Fault{{Kind: fault.Half}, {Kind: fault.Jitter}, {Kind: fault.Bias, Amount: 1e-3}} {
		results, err := selfcheck.Run(t.Context(), open(t, fault.Driver(cpu.Driver{}, f)))
		require.NoError(t, err)
		for _, r := range results {
			require.Equal(t, selfcheck.Pass, r.Status, "%s: %s", r.Block, r.Detail)
		}
	}
}

// some supports what a function says.
type some struct {
	driver.Device
	takes   func(g *graph.Graph, n *graph.Node) bool
	compile func(g *graph.Graph) error
}

func (s some) Supports(g *graph.Graph) []driver.Verdict {
	vs := s.Device.Supports(g)
	for i := range vs {
		if s.takes != nil && !s.takes(g, &g.Nodes[i]) {
			vs[i] = driver.Verdict{Code: driver.ReasonPolicy, Text: "not today"}
		}
	}
	return vs
}

func (s some) Compile(ctx context.Context, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	if s.compile != nil {
		if err := s.compile(g); err != nil {
			return nil, err
		}
	}
	return s.Device.Compile(ctx, g, o)
}

func TestBlocksAreLeftOut(t *testing.T) {
	dev := open(t, cpu.Driver{})
	results, err := selfcheck.Run(t.Context(), some{Device: dev, takes: func(_ *graph.Graph, n *graph.Node) bool { return n.Op.Name != "Attention" }})
	require.NoError(t, err)
	require.Len(t, results, blocks)
	for _, r := range results {
		if r.Block == "vision block" || r.Block == "decoder block" {
			require.Equal(t, selfcheck.Result{Block: r.Block, Status: selfcheck.Left, Detail: "Attention: not today"}, r)
		} else {
			require.Equal(t, selfcheck.Pass, r.Status, "%s: %s", r.Block, r.Detail)
		}
	}

	// A compiler may refuse what it supports; it may not be lost.
	results, err = selfcheck.Run(t.Context(), some{Device: dev, compile: func(g *graph.Graph) error {
		if g.Name == "norms" {
			return driver.ErrUnsupported
		}
		return nil
	}})
	require.NoError(t, err)
	require.Equal(t, selfcheck.Result{Block: "norms", Status: selfcheck.Left, Elem: "f32", Detail: "compile: unsupported"}, results[6])
	results, err = selfcheck.Run(t.Context(), some{Device: dev, compile: func(*graph.Graph) error { return driver.ErrDeviceLost }})
	require.NoError(t, err)
	require.Equal(t, []selfcheck.Result{{Block: "product", Status: selfcheck.Fail, Elem: "f32", Detail: "compile: device lost", Lost: true}}, results)
}

// A device without f32 is checked in f16.
func TestHalfPrecisionDevices(t *testing.T) {
	dev := some{Device: open(t, cpu.Driver{}), takes: func(g *graph.Graph, n *graph.Node) bool {
		return g.Value(n.Out[0]).Type.Elem != enc.F32
	}}
	results, err := selfcheck.Run(t.Context(), dev)
	require.NoError(t, err)
	passed := 0
	for _, r := range results {
		t.Log(r.Block, r.Status, r.Elem, r.Detail, r.Measure)
		require.NotEqual(t, selfcheck.Fail, r.Status, "%s: %s", r.Block, r.Detail)
		if r.Status == selfcheck.Pass {
			require.Equal(t, "f16", r.Elem)
			passed++
		}
	}
	require.GreaterOrEqual(t, passed, 7)
}

// A device that computes nothing fails; hal does not ask it.
func TestNullFails(t *testing.T) {
	results, err := selfcheck.Run(t.Context(), open(t, null.Driver{}))
	require.NoError(t, err)
	require.Len(t, results, 1)
	require.Equal(t, selfcheck.Fail, results[0].Status)
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := selfcheck.Run(ctx, open(t, cpu.Driver{}))
	require.ErrorIs(t, err, context.Canceled)
}
