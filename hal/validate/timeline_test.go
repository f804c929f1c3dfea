package validate_test

import (
	"context"
	"errors"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/validate"
)

// before returns the n bytes in front of a slice's.
func before(b []byte, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), -n)), n)
}

// odd returns size bytes of big that start one past a multiple of align.
func odd(big []byte, align uintptr, size int64) []byte {
	skip := int64((1 - uintptr(unsafe.Pointer(unsafe.SliceData(big)))) % align)
	return big[skip : skip+size]
}

// oddTimeline does what it is told instead of the right thing.
type oddTimeline struct {
	driver.Timeline
	value  func() (uint64, error)
	signal func(uint64) error
	wait   func(context.Context, uint64) error
	fail   func(error)
}

func (t *oddTimeline) Value() (uint64, error) {
	if t.value != nil {
		return t.value()
	}
	return t.Timeline.Value()
}

func (t *oddTimeline) Signal(v uint64) error {
	if t.signal != nil {
		return t.signal(v)
	}
	return t.Timeline.Signal(v)
}

func (t *oddTimeline) Wait(ctx context.Context, v uint64) error {
	if t.wait != nil {
		return t.wait(ctx, v)
	}
	return t.Timeline.Wait(ctx, v)
}

func (t *oddTimeline) Fail(err error) {
	if t.fail != nil {
		t.fail(err)
		return
	}
	t.Timeline.Fail(err)
}

// oddQueue makes odd timelines, the first excepted, which the checking queue
// has for itself.
type oddQueue struct {
	driver.Queue
	made  int
	spoil func(*oddTimeline)
}

func (q *oddQueue) NewTimeline(v uint64) (driver.Timeline, error) {
	t, err := q.Queue.NewTimeline(v)
	if q.made++; err != nil || q.made == 1 {
		return t, err
	}
	o := &oddTimeline{Timeline: t}
	q.spoil(o)
	return o, nil
}

func timelines(spoil func(*oddTimeline)) func(*fake) {
	return queue(func(q driver.Queue) driver.Queue { return &oddQueue{Queue: q, spoil: spoil} })
}

func TestTimelinesThatMisbehave(t *testing.T) {
	lost := errors.New("lost")
	for _, c := range []struct {
		name  string
		spoil func(*oddTimeline)
		use   func(t *testing.T, tl driver.Timeline) error
		rule  validate.Rule
		text  string
	}{
		{"goes back", func(o *oddTimeline) {
			n := uint64(1)
			o.value = func() (uint64, error) { n ^= 1; return n * 5, nil } // 0, 5, 0, ...
		}, func(_ *testing.T, tl driver.Timeline) error {
			_, err1 := tl.Value() // 5, after the 0 it was made with
			_, err2 := tl.Value() // 0
			return errors.Join(err1, err2)
		}, validate.RuleTimeline, "went back from 5 to 0"},
		{"recovers", func(o *oddTimeline) {
			n := 0
			o.value = func() (uint64, error) {
				if n++; n == 2 {
					return 0, lost
				}
				return 0, nil
			}
		}, func(_ *testing.T, tl driver.Timeline) error {
			_, _ = tl.Value()
			_, err := tl.Value()
			return err
		}, validate.RuleTimeline, "that had failed (lost)"},
		{"changes its failure", func(o *oddTimeline) {
			o.fail = func(err error) {
				o.value = func() (uint64, error) { return 0, err }
			}
		}, func(_ *testing.T, tl driver.Timeline) error {
			tl.Fail(lost)
			tl.Fail(errors.New("another"))
			_, err := tl.Value()
			return err
		}, validate.RuleTimeline, "first failure sticks"},
		{"ignores failure", func(o *oddTimeline) { o.fail = func(error) {} },
			func(_ *testing.T, tl driver.Timeline) error {
				tl.Fail(lost)
				return nil
			}, validate.RuleTimeline, "goes on"},
		{"takes an old value", func(o *oddTimeline) {
			o.signal = func(v uint64) error { _ = o.Timeline.Signal(v); return nil }
		}, func(t *testing.T, tl driver.Timeline) error {
			require.NoError(t, tl.Signal(4))
			return tl.Signal(4)
		}, validate.RuleTimeline, "values only grow"},
		{"takes signals after failing", func(o *oddTimeline) {
			o.signal = func(uint64) error { return nil }
		}, func(_ *testing.T, tl driver.Timeline) error {
			tl.Fail(lost)
			return tl.Signal(4)
		}, validate.RuleTimeline, "took signal 4"},
		{"forgets a signal", func(o *oddTimeline) {
			o.signal = func(uint64) error { return nil }
		}, func(_ *testing.T, tl driver.Timeline) error { return tl.Signal(4) },
			validate.RuleTimeline, "signalled to 4 is at 0"},
		{"wakes early", func(o *oddTimeline) {
			o.wait = func(context.Context, uint64) error { return nil }
		}, func(t *testing.T, tl driver.Timeline) error { return tl.Wait(within(t), 1) },
			validate.RuleTimeline, "Wait for 1 returned at 0"},
		{"fails a wait only", func(o *oddTimeline) {
			o.wait = func(context.Context, uint64) error { return lost }
		}, func(t *testing.T, tl driver.Timeline) error { return tl.Wait(within(t), 1) },
			validate.RuleTimeline, "has not failed"},
		{"panics", func(o *oddTimeline) {
			o.wait = func(context.Context, uint64) error { panic("in Wait") }
		}, func(t *testing.T, tl driver.Timeline) error { return tl.Wait(within(t), 1) },
			validate.RulePanic, "in Wait"},
		{"outlives its context", func(o *oddTimeline) {
			o.wait = func(_ context.Context, v uint64) error { return o.Timeline.Wait(context.Background(), v) }
		}, func(_ *testing.T, tl driver.Timeline) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			return tl.Wait(ctx, 1)
		}, validate.RuleStall, "after its context ended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // one of them takes its time
			f := newFake()
			timelines(c.spoil)(f)
			b := open(t, f)
			require.NoError(t, b.setup())
			err := c.use(t, b.tl)
			b.mu.Lock()
			require.NotEmpty(t, b.reports)
			first := b.reports[0]
			b.mu.Unlock()
			requireRule(t, first, c.rule, c.text)
			var v *validate.Violation
			if errors.As(err, &v) {
				require.Same(t, first, v)
			}
			require.ErrorIs(t, b.finish(), first)
		})
	}
}

func TestCorrectTimeline(t *testing.T) {
	b := open(t, newFake())
	require.NoError(t, b.setup())
	tl, err := b.q.NewTimeline(41)
	require.NoError(t, err)
	v, err := tl.Value()
	require.NoError(t, err)
	require.EqualValues(t, 41, v)
	require.ErrorContains(t, tl.Signal(41), "only grow", "the driver's own error")
	require.NoError(t, tl.Signal(42))
	require.NoError(t, tl.Wait(within(t), 42))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, tl.Wait(ctx, 43), context.Canceled)
	lost := errors.New("lost")
	tl.Fail(lost)
	tl.Fail(errors.New("later"))
	require.ErrorIs(t, tl.Wait(within(t), 43), lost)
	require.ErrorIs(t, tl.Signal(44), lost)
	require.NoError(t, b.finish())
	require.Empty(t, b.reports)
}
