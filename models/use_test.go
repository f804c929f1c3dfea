package models

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/fault"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/scheduler"
)

// named is the CPU under another name.
type named struct {
	driver.Driver
	name string
}

func (n named) Info() driver.Info {
	i := n.Driver.Info()
	i.Name = n.name
	return i
}

var onCPU = scheduler.Policy{Devices: []string{"cpu"}}

// openShaky opens the demo model on a device "shaky" with a fault, beside
// which there is a CPU.
func openShaky(t testing.TB, f fault.Fault, p scheduler.Policy) *Model {
	t.Helper()
	p.Devices = []string{"shaky"}
	r := hal.NewRegistry(cpu.Driver{}, fault.Driver(named{cpu.Driver{}, "shaky"}, f))
	m, err := OpenFS(t.Context(), demo.Name, demo.FS, &Options{Registry: r, Policy: p})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// dialogue is a conversation and what the model says.
var dialogue = []struct{ question, answer string }{
	{"Describe the picture.", shapesAnswer},
	{"What color is the background?", "The background is light blue."},
	{"How many shapes are there?", "I see three shapes."},
	{"Is there a red circle?", "Yes, there is a red circle."},
}

// turn returns the i-th turn of the dialogue; the first shows the picture.
func turn(t testing.TB, i int) Turn {
	u := Turn{Text: dialogue[i].question}
	if i == 0 {
		u.Images = shapesTurn(t).Images
	}
	return u
}

// submits counts the batches of the dialogue up to the end of a turn.
func submits(t testing.TB, upTo int) (n int) {
	var count atomic.Int64
	// A fault that changes nothing, a slowness of factor one, counts.
	m := openShaky(t, fault.Fault{Kind: fault.Slow, Amount: 1, Struck: func() { count.Add(1) }}, scheduler.Policy{})
	s := newSession(t, m)
	for i := range upTo {
		ask(t, s, turn(t, i))
	}
	return int(count.Load())
}

// Wherever in a conversation the device is lost, the turn fails as if it had
// not been asked, and says what to do; on another device the session goes on
// with the words that it would have said.
func TestLostDevice(t *testing.T) {
	first, all := submits(t, 1), submits(t, 2)
	require.Greater(t, first, 4)
	require.Greater(t, all, first+4)
	for name, c := range map[string]struct {
		fault     fault.Fault
		turn      int  // the one that fails
		streaming bool // in the middle of its answer
	}{
		"encoding":          {fault.Fault{Kind: fault.Lost}, 0, false},
		"prefill":           {fault.Fault{Kind: fault.Lost, Op: "TensorScatter"}, 0, false},
		"decoding":          {fault.Fault{Kind: fault.Lost, After: first - 2}, 0, true},
		"the second turn":   {fault.Fault{Kind: fault.Lost, After: first}, 1, false},
		"its decoding":      {fault.Fault{Kind: fault.Lost, After: all - 2}, 1, true},
		"a batch that once": {fault.Fault{Kind: fault.Revive, After: all - 3}, 1, true},
		"a panic":           {fault.Fault{Kind: fault.Panic, After: all - 3}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := openShaky(t, c.fault, scheduler.Policy{})
			s := newSession(t, m)
			for i := range c.turn {
				require.Equal(t, dialogue[i].answer, ask(t, s, turn(t, i)).Text)
			}
			streamed := ""
			u := turn(t, c.turn)
			u.Stream = func(piece string) error { streamed += piece; return nil }
			for range 2 { // lost is lost
				messages, pictures := len(s.messages), len(s.pictures)
				_, err := s.Ask(t.Context(), u)
				require.ErrorIs(t, err, hal.ErrDeviceLost)
				require.ErrorContains(t, err, "Model.Use")
				var where *hal.Error
				require.ErrorAs(t, err, &where)
				require.Equal(t, "shaky", where.Device)
				require.Len(t, s.messages, messages)
				require.Len(t, s.pictures, pictures)
			}
			if c.streaming {
				require.NotEmpty(t, streamed, "the answer had begun")
			} else {
				require.Empty(t, streamed)
			}
			_, _, err := s.Score(t.Context(), turn(t, c.turn), "Yes.")
			require.ErrorIs(t, err, hal.ErrDeviceLost)
			require.ErrorContains(t, err, "Model.Use")

			require.NoError(t, m.Use(t.Context(), onCPU))
			require.Equal(t, "cpu", m.Plan().Placements[0].Device)
			for i := c.turn; i < len(dialogue); i++ {
				a := ask(t, s, turn(t, i))
				require.Equal(t, dialogue[i].answer, a.Text)
				if i == c.turn {
					require.Zero(t, a.CachedTokens, "the cache went with the device")
				} else {
					require.Positive(t, a.CachedTokens)
				}
			}
			usable(t, newSession(t, m))
		})
	}
}

func TestLostDeviceElsewhere(t *testing.T) {
	m := openShaky(t, fault.Fault{Kind: fault.Lost}, scheduler.Policy{})
	_, err := m.Encode(t.Context(), shapesTurn(t).Images[0])
	require.ErrorIs(t, err, hal.ErrDeviceLost)
	require.ErrorContains(t, err, "Model.Use")
	_, err = m.NewSession(t.Context())
	require.ErrorIs(t, err, hal.ErrDeviceLost)
	require.ErrorContains(t, err, "Model.Use")
	require.NoError(t, m.Use(t.Context(), onCPU))
	usable(t, newSession(t, m))
}

// Pictures that were encoded on one device are shown on another. The device
// may also be opened once more.
func TestUseKeepsPictures(t *testing.T) {
	// The vision tower works, the language model is lost once.
	m := openShaky(t, fault.Fault{Kind: fault.Lost, Op: "TensorScatter", Times: 1}, scheduler.Policy{})
	p, err := m.Encode(t.Context(), shapesTurn(t).Images[0])
	require.NoError(t, err)
	s := newSession(t, m)
	_, err = s.Ask(t.Context(), Turn{Text: dialogue[0].question, Pictures: []*Picture{p}})
	require.ErrorIs(t, err, hal.ErrDeviceLost)
	require.NoError(t, m.Use(t.Context(), scheduler.Policy{Devices: []string{"shaky"}}))
	for i, d := range dialogue {
		u := Turn{Text: d.question}
		if i == 0 {
			u.Pictures = []*Picture{p}
		}
		require.Equal(t, d.answer, ask(t, s, u).Text)
	}
	require.Equal(t, "shaky", m.Plan().Placements[0].Device)
}

// Use is for devices that work as well, and for other shapes.
func TestUseBetweenTurns(t *testing.T) {
	m := openShaky(t, fault.Fault{Kind: fault.Lost, After: 1 << 30}, scheduler.Policy{})
	size := m.Context()
	s := newSession(t, m)
	policies := []scheduler.Policy{onCPU, {Devices: []string{"shaky"}, Static: true, Chunk: 16}, {Place: map[string][]string{"vision": {"shaky"}, "llm": {"cpu"}}, Chunk: 7}, onCPU}
	for i, d := range dialogue {
		require.Equal(t, d.answer, ask(t, s, turn(t, i)).Text)
		require.NoError(t, m.Use(t.Context(), policies[i]))
		if c := policies[i].Chunk; c > 0 {
			require.Equal(t, c, m.Plan().Chunk)
		}
		require.Equal(t, size, m.Context())
		require.Len(t, m.Workload().Modules, 3)
	}
	require.Equal(t, "I see three shapes.", ask(t, s, Turn{Text: "How many shapes are there?"}).Text)
	usable(t, s)
}

func TestUseThatFails(t *testing.T) {
	m := openShaky(t, fault.Fault{Kind: fault.Lost, After: 1 << 30}, scheduler.Policy{})
	s := newSession(t, m)
	require.Equal(t, dialogue[0].answer, ask(t, s, turn(t, 0)).Text)
	plan := m.Plan()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx    context.Context
		policy scheduler.Policy
		want   string
	}{
		{t.Context(), scheduler.Policy{Devices: []string{"warp"}}, "no such driver"},
		{t.Context(), scheduler.Policy{Devices: []string{"warp", "cpu"}, Strict: true}, "no such driver"},
		{t.Context(), scheduler.Policy{Chunk: -1}, "chunk -1"},
		{t.Context(), scheduler.Policy{MemoryBudget: 1000}, "the budget is 1000"},
		{t.Context(), scheduler.Policy{Deny: []string{"cpu", "shaky"}}, "no device"},
		{ended, onCPU, context.Canceled.Error()},
	} {
		require.ErrorContains(t, m.Use(c.ctx, c.policy), c.want)
		require.Same(t, plan, m.Plan())
	}
	a := ask(t, s, turn(t, 1))
	require.Equal(t, dialogue[1].answer, a.Text)
	require.Positive(t, a.CachedTokens, "not even the cache is lost")

	// While another call is under way, the wait ends with the context.
	held := hold(t, m)
	short, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	done := make(chan error)
	go func() { done <- m.Use(short, onCPU) }()
	require.ErrorIs(t, <-done, context.DeadlineExceeded)
	require.Same(t, plan, m.Plan())
	held.goOn()
	a = ask(t, s, turn(t, 2))
	require.Equal(t, dialogue[2].answer, a.Text)
	require.Positive(t, a.CachedTokens)
}

// held is a turn that waits in its Stream function.
type held struct {
	t    testing.TB
	wait chan struct{}
	err  chan error
}

func hold(t testing.TB, m *Model) *held {
	h := &held{t, make(chan struct{}), make(chan error, 1)}
	s := newSession(t, m)
	started := make(chan struct{})
	var once sync.Once
	u := shapesTurn(t)
	u.Stream = func(string) error {
		once.Do(func() { close(started) })
		<-h.wait
		return nil
	}
	go func() {
		a, err := s.Ask(context.Background(), u)
		if err == nil && a.Text != shapesAnswer {
			err = errors.New("it said " + a.Text)
		}
		h.err <- err
	}()
	<-started
	return h
}

func (h *held) goOn() {
	close(h.wait)
	require.NoError(h.t, <-h.err)
}

// Use waits for the turn under way; what comes meanwhile waits for Use, as
// long as its context lasts; sessions can be closed all the time.
func TestUseWaits(t *testing.T) {
	m := openShaky(t, fault.Fault{Kind: fault.Lost, After: 1 << 30}, scheduler.Policy{})
	s, gone := newSession(t, m), newSession(t, m)
	ask(t, s, turn(t, 0))
	ask(t, gone, turn(t, 0))
	h := hold(t, m)
	used := make(chan error, 1)
	go func() { used <- m.Use(t.Context(), onCPU) }()
	require.Eventually(t, func() bool {
		m.life.mu.Lock()
		defer m.life.mu.Unlock()
		return m.life.gate != nil
	}, 20*time.Second, time.Millisecond)
	require.Equal(t, "shaky", m.Plan().Placements[0].Device)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := s.Ask(short, turn(t, 1))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, gone.Close())
	answered := make(chan string, 1)
	go func() {
		a, err := s.Ask(context.Background(), turn(t, 1))
		if err != nil {
			t.Error(err)
			a = &Answer{}
		}
		answered <- a.Text
	}()
	select {
	case err := <-used:
		t.Fatal("Use did not wait", err)
	case <-answered:
		t.Fatal("the turn did not wait")
	case <-time.After(20 * time.Millisecond):
	}
	h.goOn()
	require.NoError(t, <-used)
	require.Equal(t, dialogue[1].answer, <-answered)
	require.Equal(t, "cpu", m.Plan().Placements[0].Device)
	_, err = gone.Ask(t.Context(), turn(t, 1))
	require.ErrorIs(t, err, hal.ErrClosed)
}

// Several sessions talk while the device is lost again and again; whoever
// meets the loss has the model put on another device. Every answer is right.
func TestLossesUnderLoad(t *testing.T) {
	m := openShaky(t, fault.Fault{Kind: fault.Lost, After: 20, Rate: 0.05, Seed: 1}, scheduler.Policy{})
	picture := shapesTurn(t).Images
	var losses atomic.Int64
	var wg sync.WaitGroup
	talk := func() error {
		s, err := newSessionSomehow(m)
		if err != nil {
			return err
		}
		defer s.Close()
		for i, d := range dialogue {
			u := Turn{Text: d.question}
			if i == 0 {
				u.Images = picture
			}
			a, err := s.Ask(context.Background(), u)
			for try := 0; err != nil; try++ {
				if !errors.Is(err, hal.ErrDeviceLost) {
					return err
				}
				losses.Add(1)
				// Another one may have seen to it already; twice does no harm.
				p := scheduler.Policy{Devices: []string{"shaky"}}
				if try > 3 {
					p = onCPU
				}
				if err := m.Use(context.Background(), p); err != nil {
					return err
				}
				a, err = s.Ask(context.Background(), u)
			}
			if a.Text != d.answer {
				return errors.New("it said " + a.Text)
			}
		}
		return nil
	}
	for range 3 {
		wg.Go(func() {
			if err := talk(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Positive(t, losses.Load())
}

// newSessionSomehow makes a session, on another device if need be.
func newSessionSomehow(m *Model) (*Session, error) {
	for {
		s, err := m.NewSession(context.Background())
		if err == nil || !errors.Is(err, hal.ErrDeviceLost) {
			return s, err
		}
		if err := m.Use(context.Background(), onCPU); err != nil {
			return nil, err
		}
	}
}

// Close waits for Use and closes what it left; Use of a closed model fails.
func TestCloseAndUse(t *testing.T) {
	for range 3 {
		m, err := OpenFS(t.Context(), demo.Name, demo.FS, &Options{Registry: registry})
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := m.Use(context.Background(), onCPU); err != nil && !errors.Is(err, hal.ErrClosed) {
					t.Error(err)
				}
			})
		}
		time.Sleep(2 * time.Millisecond)
		require.NoError(t, m.Close())
		wg.Wait()
		require.ErrorIs(t, m.Use(t.Context(), onCPU), hal.ErrClosed)
	}
}

// Changing devices leaves nothing behind.
func TestUseLeaksNothing(t *testing.T) {
	m := openShaky(t, fault.Fault{Kind: fault.Lost, After: 1 << 30}, scheduler.Policy{})
	s := newSession(t, m)
	ask(t, s, turn(t, 0))
	before := 0
	for i := range 12 {
		require.NoError(t, m.Use(t.Context(), onCPU))
		if i == 1 {
			before = runtime.NumGoroutine()
		}
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() < before+8 }, 5*time.Second, 10*time.Millisecond)
	require.Equal(t, dialogue[1].answer, ask(t, s, turn(t, 1)).Text)
}
