package hal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/validate"
)

// Any driver can be opened with validate=1; the driver does not hear of it.
func TestOpenValidated(t *testing.T) {
	f := newFake("fake")
	f.caps.Ops = []driver.OpCap{{Name: "Relu"}, {Name: "Neg"}}
	f.run = func(c *driver.Cmd) error {
		x, err := c.Args[0].Bytes()
		if err != nil {
			return err
		}
		y, err := c.Args[1].Bytes()
		if err != nil {
			return err
		}
		clear(y)
		x[0]++ // an input
		return nil
	}
	ctx := within(t)
	b := &bench{t: t, f: f}
	var err error
	b.dev, err = hal.NewRegistry(f).Open(ctx, "fake?validate=1")
	require.NoError(t, err)
	require.Equal(t, "fake", b.dev.Name())
	b.exe, err = b.dev.Compile(ctx, testGraph(t, "Neg"), hal.CompileOptions{})
	require.NoError(t, err)
	b.q, err = b.dev.NewQueue(hal.QueueOptions{})
	require.NoError(t, err)
	b.buf, err = b.dev.Alloc(ctx, 256)
	require.NoError(t, err)
	b.tl, err = b.q.NewTimeline(0)
	require.NoError(t, err)

	err = b.do(b.run())
	var v *validate.Violation
	require.ErrorAs(t, err, &v)
	require.Equal(t, validate.RuleInput, v.Rule)
	var e *hal.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "fake", e.Device)

	require.NoError(t, b.q.Close())
	require.NoError(t, b.exe.Close())
	err = b.dev.Close() // the buffer is left open
	require.ErrorIs(t, err, v)
	require.ErrorContains(t, err, `rule "leak": memory of 256 bytes`)
}
