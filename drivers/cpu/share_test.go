package cpu

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal/driver"
)

// Memory that one device exports is another's without a copy.
func TestShare(t *testing.T) {
	ctx := context.Background()
	var ds [2]*device
	for i := range ds {
		d, err := Driver{}.Open(ctx, "0", driver.OpenOptions{Threads: 1})
		require.NoError(t, err)
		defer d.Close()
		ds[i] = d.(*device)
	}
	m, err := ds[0].Alloc(ctx, driver.MemSpec{Size: 128})
	require.NoError(t, err)
	x, err := ds[0].Export(m, driver.HostPtr)
	require.NoError(t, err)
	n, err := ds[1].Import(ctx, x)
	require.NoError(t, err)
	require.Equal(t, int64(128), n.Spec().Size)
	a, _ := m.Bytes()
	b, ok := n.Bytes()
	require.True(t, ok)
	a[5] = 7
	require.Equal(t, byte(7), b[5])
	again, err := ds[1].Export(n, driver.HostPtr)
	require.NoError(t, err)
	require.Len(t, again.Bytes, 128)
	require.NoError(t, n.Free())
	_, ok = n.Bytes()
	require.False(t, ok)
	_, ok = m.Bytes()
	require.True(t, ok, "its owner still has it")

	_, err = ds[0].Export(m, driver.DMABuf)
	require.ErrorIs(t, err, driver.ErrUnsupported)
	_, err = ds[0].Export(driver.NewHostMemory(driver.MemSpec{Size: 8}), driver.HostPtr)
	require.ErrorIs(t, err, driver.ErrUnsupported)
	_, err = ds[1].Import(ctx, driver.External{Kind: driver.MemFD, FD: 3, Size: 8})
	require.ErrorIs(t, err, driver.ErrUnsupported)
	_, err = ds[1].Import(ctx, driver.External{Kind: driver.HostPtr, Bytes: a[1:9], Size: 8})
	require.ErrorIs(t, err, driver.ErrUnsupported)
	_, err = ds[1].Import(ctx, driver.External{Kind: driver.HostPtr, Bytes: a, Size: 1 << 40})
	require.Error(t, err)
	require.NoError(t, m.Free())
	_, err = ds[0].Export(m, driver.HostPtr)
	require.ErrorIs(t, err, driver.ErrClosed)
}
