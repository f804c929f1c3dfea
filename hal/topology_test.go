package hal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

func TestTopology(t *testing.T) {
	device := func(name string, heaps ...driver.Heap) *hal.Device {
		f := newFake(name)
		f.caps.Heaps = heaps
		return hal.Wrap(name, fakeDevice{f})
	}
	kinds := func(k ...driver.ShareKind) []driver.ShareKind { return k }
	cpu := device("cpu", driver.Heap{Export: kinds(driver.MemFD, driver.HostPtr), Import: kinds(driver.HostPtr, driver.MemFD)})
	gpu := device("gpu",
		driver.Heap{Name: "vram"},
		driver.Heap{Name: "shared", Import: kinds(driver.MemFD, driver.HostPtr, driver.DMABuf), Export: kinds(driver.DMABuf)})
	npu := device("npu", driver.Heap{Import: kinds(driver.DMABuf, driver.MemFD)})
	devs := []*hal.Device{cpu, gpu, npu}
	edges := hal.Topology(devs)
	require.Len(t, edges, 9)
	for i, from := range devs {
		for j, to := range devs {
			e := edges[i*3+j]
			require.Equal(t, from.Name(), e.From)
			require.Equal(t, to.Name(), e.To)
			require.Equal(t, i != j, e.HostWait)
			require.Zero(t, e.Latency, "not measured yet")
			require.Zero(t, e.Bandwidth)
			if i == j {
				require.Equal(t, hal.Native, e.Share)
			}
		}
	}
	at := func(i, j int) [2]string { return [2]string{string(edges[i*3+j].Share), string(edges[i*3+j].Kind)} }
	require.Equal(t, [2]string{"import", "host"}, at(0, 1), "the cheapest kind that both have")
	require.Equal(t, [2]string{"import", "memfd"}, at(0, 2))
	require.Equal(t, [2]string{"copy", ""}, at(1, 0), "the other way is another edge")
	require.Equal(t, [2]string{"import", "dmabuf"}, at(1, 2))
	require.Equal(t, [2]string{"copy", ""}, at(2, 0))
	require.Equal(t, [2]string{"copy", ""}, at(2, 1))
	require.Empty(t, hal.Topology(nil))
}
