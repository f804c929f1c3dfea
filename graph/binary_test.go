package graph

import (
	"bytes"
	"encoding/binary"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func roundTripBinary(t testing.TB, g *Graph) []byte {
	t.Helper()
	data, err := Marshal(g)
	require.NoError(t, err)
	back, err := Unmarshal(data, fake{})
	require.NoError(t, err)
	require.Empty(t, diff(g, back))
	again, err := Marshal(back)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, again))
	return data
}

func TestBinaryRoundTrip(t *testing.T) {
	roundTripBinary(t, sample(t))
	for seed := range int64(200) {
		roundTripBinary(t, random(t, seed))
	}
}

// Programs of other versions read these bytes: the layout changes only
// together with binaryVersion.
func TestBinaryGolden(t *testing.T) {
	data, err := Marshal(sample(t))
	require.NoError(t, err)
	want, err := os.ReadFile("testdata/sample.bin")
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, data), "the binary form changed: raise binaryVersion")
}

// A reader in C knows offsets only.
func TestBinaryLayout(t *testing.T) {
	g := sample(t)
	data := roundTripBinary(t, g)
	le := binary.LittleEndian
	require.Equal(t, 440, headerSize)
	require.Equal(t, "HEDDLEGR", string(data[:8]))
	require.EqualValues(t, len(data), le.Uint64(data[16:]))
	record := func(sec sectionID, i int) []byte {
		h := data[32+24*int(sec):]
		off, count, size := le.Uint64(h), le.Uint64(h[8:]), le.Uint32(h[16:])
		require.Zero(t, off%sectionAlign)
		require.Less(t, uint64(i), count)
		at := int(off) + i*int(size)
		return data[at : at+int(size)]
	}
	str := func(b []byte) string {
		at := int(le.Uint64(data[32:])) + int(le.Uint32(b))
		n := int(le.Uint32(b[4:]))
		if n > 0 {
			require.Zero(t, data[at+n], "C strings end")
		}
		return string(data[at : at+n])
	}
	require.Equal(t, g.Name, str(data[24:]))
	for i := range g.Values {
		v := record(secValues, i)
		require.Equal(t, g.Values[i].Name, str(v))
		require.EqualValues(t, g.Values[i].Type.Elem, v[8])
		require.EqualValues(t, g.Values[i].Type.Enc.Kind, v[9])
		require.EqualValues(t, g.Values[i].Type.Enc.Axis, int32(le.Uint32(v[16:])))
		require.EqualValues(t, g.Values[i].Type.Rank(), le.Uint32(v[28:]))
		for k, d := range g.Values[i].Type.Shape {
			r := record(secDims, int(le.Uint32(v[24:]))+k)
			if n, ok := d.Const(); ok {
				require.EqualValues(t, n, le.Uint64(r))
			} else {
				require.Equal(t, d.String(), str(r[8:]))
			}
		}
		require.EqualValues(t, g.Values[i].Kind, v[32])
		require.EqualValues(t, g.Values[i].Def, int32(le.Uint32(v[36:])))
		if g.Values[i].Data == nil || v[33]&flagDims != 0 {
			continue
		}
		require.EqualValues(t, len(g.Values[i].Data.Parts), le.Uint32(v[44:]))
		for k, p := range g.Values[i].Data.Parts {
			r := record(secParts, int(le.Uint32(v[40:]))+k)
			require.EqualValues(t, p.Offset, le.Uint64(r[32:]))
			require.EqualValues(t, p.ScaleOffset, le.Uint64(r[40:]))
			require.EqualValues(t, p.ZeroOffset, le.Uint64(r[48:]))
			if p.Source != "" {
				require.Equal(t, p.Source, str(record(secSources, int(le.Uint32(r[24:])))))
			}
			if n := int(le.Uint64(r[64:])); n > 0 {
				at := int(le.Uint64(data[32+24*secData:]) + le.Uint64(r[56:]))
				require.Zero(t, at%dataAlign)
				require.Equal(t, p.Inline, data[at:at+n])
			}
		}
	}
	for i, n := range g.Nodes {
		r := record(secNodes, i)
		require.Equal(t, n.Op.Domain, str(r))
		require.Equal(t, n.Op.Name, str(r[8:]))
		require.Equal(t, n.Name, str(r[16:]))
		require.EqualValues(t, n.Op.Version, le.Uint32(r[48:]))
		for k, v := range n.In {
			require.EqualValues(t, v, int32(le.Uint32(record(secIDs, int(le.Uint32(r[24:]))+k))))
		}
		for k, v := range n.Out {
			require.EqualValues(t, v, int32(le.Uint32(record(secIDs, int(le.Uint32(r[32:]))+k))))
		}
		for k, a := range n.Attrs {
			x := record(secAttrs, int(le.Uint32(r[40:]))+k)
			require.Equal(t, a.Name, str(x))
			require.EqualValues(t, a.Kind, x[8])
			require.EqualValues(t, a.Elem, x[9])
			require.EqualValues(t, a.Int, le.Uint64(x[16:]))
			switch a.Kind {
			case AttrString:
				require.Equal(t, a.Str, str(x[24:]))
			case AttrInts:
				require.EqualValues(t, len(a.Ints), le.Uint32(x[28:]))
			}
		}
	}
	for i, p := range g.Outputs {
		r := record(secOutputs, i)
		require.Equal(t, p.Name, str(r))
		require.EqualValues(t, p.Value, le.Uint32(r[8:]))
	}
}

// Whatever is done to the bytes, the result is an error or a valid graph whose
// binary form these bytes are.
func checkBytes(t testing.TB, data []byte) {
	g, err := Unmarshal(data, fake{})
	if err != nil {
		return
	}
	again, err := Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, again) {
		t.Fatalf("a graph has two binary forms:\n%x\n%x\n%s", data, again, g)
	}
	back, err := Parse(g.String(), fake{})
	if err != nil {
		t.Fatalf("%v\n%s", err, g)
	}
	if d := diff(g, back); d != "" {
		t.Fatalf("%s\n%s", d, g)
	}
}

func TestBinaryDamage(t *testing.T) {
	data := roundTripBinary(t, sample(t))
	for n := 0; n < len(data); n += 3 {
		_, err := Unmarshal(data[:n], fake{})
		require.ErrorIs(t, err, ErrInvalid)
	}
	_, err := Unmarshal(append(bytes.Clone(data), 0), fake{})
	require.ErrorIs(t, err, ErrInvalid)
	bad := bytes.Clone(data)
	for i := range bad {
		x := []byte{1, 2, 0x80, 0xff}[i%4]
		bad[i] ^= x
		checkBytes(t, bad)
		bad[i] ^= x
	}
	r := rand.New(rand.NewSource(1))
	for range 2000 {
		bad := bytes.Clone(data)
		for range 1 + r.Intn(4) {
			binary.LittleEndian.PutUint32(bad[r.Intn(len(bad)/4)*4:], uint32(r.Intn(40)))
		}
		checkBytes(t, bad)
	}
}

// Counts that are not backed by bytes must not be allocated for.
func TestBinaryClaims(t *testing.T) {
	data, err := Marshal(sample(t))
	require.NoError(t, err)
	for i := range numSections {
		for _, n := range []uint64{1 << 31, 1 << 40, 1<<64 - 1} {
			bad := bytes.Clone(data)
			binary.LittleEndian.PutUint64(bad[32+24*int(i)+8:], n)
			allocated := testing.AllocsPerRun(1, func() {
				_, err := Unmarshal(bad, fake{})
				require.ErrorIs(t, err, ErrInvalid)
			})
			require.Less(t, allocated, 1000.0)
		}
	}
}

func TestMarshalErrors(t *testing.T) {
	wide := int64(1) << 40
	for path, g := range map[string]*Graph{
		"source": {Values: []Value{{Name: "w", Kind: Const, Data: &Weight{Parts: []Part{{Source: "s"}}}}}},
		"data":   {Values: []Value{{Name: "w", Kind: Const}}},
		"axis":   {Values: []Value{{Name: "w", Kind: Const, Data: &Weight{Axis: int(wide)}}}},
	} {
		if path == "axis" && strconv.IntSize == 32 {
			continue
		}
		_, err := Marshal(g)
		require.ErrorIs(t, err, ErrInvalid, path)
		require.Len(t, g.Values, 1, "a graph that has no binary form is left as it is")
		require.Equal(t, "w", g.Values[0].Name)
	}
}

// Modules of a model are hashed while others are compiled, and share the
// lists of their weights (the race detector sees a write).
func TestMarshalOnlyReads(t *testing.T) {
	g := random(t, 3)
	shared := *g
	var wg sync.WaitGroup
	for _, x := range []*Graph{g, &shared} {
		wg.Go(func() {
			if _, err := Marshal(x); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func FuzzUnmarshal(f *testing.F) {
	for seed := range int64(5) {
		data, err := Marshal(random(f, seed))
		require.NoError(f, err)
		f.Add(data)
	}
	data, err := Marshal(sample(f))
	require.NoError(f, err)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) { checkBytes(t, data) })
}
