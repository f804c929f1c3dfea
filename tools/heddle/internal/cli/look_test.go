package cli_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/graph/onnx"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/ckpt/safetensors"
	"github.com/heddle-ml/heddle/tools/heddle/internal/cli"
)

type driversJSON struct {
	Drivers []struct {
		Name, Vendor, Version, Summary, Status, Reason string
		Devices                                        []struct {
			Name, ID, Kind, Vendor, Model, Status, Reason, Version string
			Memory                                                 []driver.Heap
			Limits                                                 driver.Limits
			Shapes                                                 driver.ShapeCap
			Queues                                                 driver.QueueCap
			Numerics                                               driver.Numerics
			Operators                                              int
			Encodings, Lacks, Notes                                []string
		}
	} `json:"drivers"`
}

// absentDriver is one whose hardware is not there; brokenDriver one that does
// not open.
type absentDriver struct{ null.Driver }

func (absentDriver) Info() driver.Info {
	return driver.Info{Name: "absent", Summary: "an accelerator that this machine lacks"}
}

func (absentDriver) Probe(context.Context) ([]driver.DeviceInfo, error) {
	return nil, fmt.Errorf("libnpu.so is not installed:\nget it from the vendor: %w", driver.ErrUnavailable)
}

type brokenDriver struct{ null.Driver }

func (brokenDriver) Info() driver.Info {
	return driver.Info{Name: "broken", Summary: "an accelerator with old firmware"}
}

func (brokenDriver) Open(context.Context, string, driver.OpenOptions) (driver.Device, error) {
	return nil, fmt.Errorf("firmware 3 is too old: %w", driver.ErrIncompatible)
}

func TestDevices(t *testing.T) {
	env := cli.Env{Registry: hal.NewRegistry(cpu.Driver{}, null.Driver{}, absentDriver{}, brokenDriver{})}
	r := executeWith(t, env, "devices", "--json")
	require.Equal(t, 0, r.code, r.err)
	d := decode[driversJSON](t, r.out).Drivers
	require.Len(t, d, 4)
	absent, broken, c, n := d[0], d[1], d[2], d[3]
	require.Equal(t, []string{"absent", "missing"}, []string{absent.Name, absent.Status})
	require.Contains(t, absent.Reason, "libnpu.so is not installed: get it from the vendor")
	require.NotNil(t, absent.Devices)
	require.Equal(t, "found", broken.Status)
	require.Equal(t, "failed", broken.Devices[0].Status)
	require.Contains(t, broken.Devices[0].Reason, "firmware 3 is too old")
	require.Equal(t, []string{"cpu", "found", ""}, []string{c.Name, c.Status, c.Reason})
	require.Equal(t, []string{"cpu", "cpu", "ready"}, []string{c.Devices[0].Name, c.Devices[0].Kind, c.Devices[0].Status})
	require.NotEmpty(t, c.Devices[0].Memory)
	require.Contains(t, c.Devices[0].Encodings, "Q4_0")
	require.Greater(t, c.Devices[0].Operators, 50)
	require.Equal(t, "null", n.Devices[0].Kind)

	text := executeWith(t, env, "devices").out
	for _, want := range []string{
		"absent  an accelerator that this machine lacks  missing: libnpu.so is not installed: get it from the vendor",
		"  broken  null, null  failed: firmware 3 is too old",
		"\ncpu  ", "    encodings  ", "    limits     allocations up to 4.3 GB\n", "all that this program knows",
	} {
		require.Contains(t, text, want)
	}
}

type inspected struct {
	Path, Format, Architecture string
	Version                    int
	Alignment                  int64
	Parameters, Bytes          int64
	Encodings                  map[string]struct {
		Tensors           int
		Parameters, Bytes int64
	}
	Vision *struct {
		TileSide      int    `json:"tile_side"`
		TokensPerTile int    `json:"tokens_per_tile"`
		Width         int    `json:"width"`
		MaxTiles      int    `json:"max_tiles"`
		Tiling        string `json:"tiling"`
	}
	Text *struct {
		Layers, Hidden, Intermediate, Heads, Vocabulary int
		KVHeads                                         int     `json:"kv_heads"`
		HeadDim                                         int     `json:"head_dim"`
		MaxPositions                                    int     `json:"max_positions"`
		RopeTheta                                       float64 `json:"rope_theta"`
		RopeType                                        string  `json:"rope_type"`
		TiedHead                                        bool    `json:"tied_head"`
	}
	Modules []struct {
		Name    string
		Nodes   int
		Symbols []struct {
			Name     string
			Min, Max int
		}
		Inputs, Outputs []struct {
			Name, DType string
			Shape       []any
		}
		States []struct {
			Name, DType, Output string
			Shape               []any
		}
	}
	Metadata []struct {
		Key, Type string
		Count     *int
		Value     any
	}
	Tensors []struct {
		Name, DType, File string
		Shape             []int64
		Bytes, Offset     int64
	}
}

func TestInspectDemo(t *testing.T) {
	r := decode[inspected](t, succeed(t, "", "inspect", "--json"))
	require.Equal(t, "bluelm_v", r.Architecture)
	require.EqualValues(t, 2042816, r.Parameters, "as models/demo/README.md says")
	require.EqualValues(t, 2*2042816, r.Bytes)
	require.Len(t, r.Encodings, 1)
	require.Equal(t, len(r.Tensors), r.Encodings["f16"].Tensors)
	require.Equal(t, 64, r.Vision.TileSide)
	require.Equal(t, 16, r.Vision.TokensPerTile)
	require.Equal(t, "bluelm", r.Vision.Tiling)
	require.Equal(t, 4, r.Text.Layers)
	require.True(t, r.Text.TiedHead)
	require.Len(t, r.Modules, 3)
	require.Equal(t, []any{"tiles", 3.0, 64.0, 64.0}, r.Modules[0].Inputs[0].Shape)
	require.Len(t, r.Modules[1].States, 8)
	require.Equal(t, "k_cache.0.out", r.Modules[1].States[0].Output)

	text := succeed(t, "", "inspect")
	for _, want := range []string{
		"bluelm_v, demo\n", "2,042,816 in 95 tensors, 4.1 MB", "f16: 95 tensors, 4.1 MB",
		"in     pixel_values  f32[tiles,3,64,64]", "state  k_cache.0 to 3    f32[1,2,1536,32]",
		"language_model.model.embed_tokens.weight", "f16  [512 192]",
	} {
		require.Contains(t, text, want)
	}
	require.Contains(t, succeed(t, "", "inspect", "--context", "100"), "f32[1,2,200,32]")
}

// Every model in the repository can be looked at, and its tensors add up to
// what its files hold.
func TestInspectGoldens(t *testing.T) {
	root := filepath.Dir(shared.Golden(t, "llama_tiny"))
	n := 0
	require.NoError(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Name() != "config.json" {
			return err
		}
		n++
		dir := filepath.Dir(path)
		r := decode[inspected](t, succeed(t, "", "inspect", "--json", dir))
		require.Equal(t, "huggingface", r.Format)
		require.NotEmpty(t, r.Architecture)
		var params int64
		files := map[string]bool{}
		for _, x := range r.Tensors {
			size := int64(1)
			for _, s := range x.Shape {
				size *= s
			}
			params += size
			files[x.File] = true
		}
		require.Equal(t, params, r.Parameters)
		var bytes int64
		for f := range files {
			s, err := safetensors.Open(filepath.Join(dir, f))
			require.NoError(t, err)
			for _, x := range s.Tensors() {
				bytes += x.Length
			}
			require.NoError(t, s.Close())
		}
		require.Equal(t, bytes, r.Bytes, dir)
		require.NotEmpty(t, succeed(t, "", "inspect", dir))
		return nil
	}))
	require.GreaterOrEqual(t, n, 18)
	sharded := succeed(t, "", "inspect", shared.Golden(t, "llama_tiny_bf16_sharded"))
	require.Contains(t, sharded, "model-00002-of-00003.safetensors: ")
	require.Contains(t, sharded, "bf16")
}

func TestInspectFiles(t *testing.T) {
	list, err := filepath.Glob(shared.Golden(t, "gguf_models") + "/*.gguf")
	require.NoError(t, err)
	require.NotEmpty(t, list)
	for _, path := range list {
		r := decode[inspected](t, succeed(t, "", "inspect", "--json", path))
		require.Equal(t, "gguf", r.Format)
		require.Equal(t, 3, r.Version)
		require.NotEmpty(t, r.Architecture)
		require.NotEmpty(t, r.Metadata)
		require.NotEmpty(t, r.Tensors)
		require.Positive(t, r.Parameters)
	}
	text := succeed(t, "", "inspect", shared.Golden(t, "gguf_models/llama_256_q4_k_m.gguf"))
	for _, want := range []string{"llama, ", "GGUF version 3", "Q4_K: ", "Q6_K: ", "general.architecture", `"llama"`, "tokenizer.ggml.tokens", " values\n"} {
		require.Contains(t, text, want)
	}
	r := decode[inspected](t, succeed(t, "", "inspect", "--json", shared.Golden(t, "llama_tiny/expected.safetensors")))
	require.Equal(t, "safetensors", r.Format)
	require.Contains(t, succeed(t, "", "inspect", shared.Golden(t, "llama_tiny/expected.safetensors")), "seq0.input_ids")
}

type checked struct {
	Model, Expected string
	OK              bool
	Tensors         []struct {
		Name, Role, Reason string
		Shape              []int64
		MaxAbs             *float64 `json:"max_abs"`
		MaxRel             *float64 `json:"max_rel"`
		Atol               float64
		OK                 bool
	}
}

func tensors(t *testing.T, path string) map[string][]float32 {
	t.Helper()
	f, err := safetensors.Open(path)
	require.NoError(t, err)
	defer f.Close()
	out := map[string][]float32{}
	for _, x := range f.Tensors() {
		if x.DType == safetensors.I64 {
			ints, err := f.Int64s(x)
			require.NoError(t, err)
			for _, n := range ints {
				out[x.Name] = append(out[x.Name], float32(n))
			}
			continue
		}
		out[x.Name], err = f.Float32s(x)
		require.NoError(t, err)
	}
	return out
}

func TestCheck(t *testing.T) {
	for _, name := range []string{"qwen3_tiny", "vlm_tiny", "projector/vila_mlp_downsample"} {
		dir := shared.Golden(t, name)
		expected := filepath.Join(dir, "expected.safetensors")
		dump := filepath.Join(t.TempDir(), "computed.safetensors")
		r := decode[checked](t, succeed(t, "", "check", "--json", "--model", dir, "--dump", dump))
		require.True(t, r.OK)
		want, got := tensors(t, expected), tensors(t, dump)
		require.Len(t, r.Tensors, len(want))
		require.Len(t, got, len(want))
		// What the dump holds is what was compared.
		for _, x := range r.Tensors {
			require.True(t, x.OK)
			require.Len(t, got[x.Name], len(want[x.Name]))
			most := 0.0
			for i := range got[x.Name] {
				most = math.Max(most, math.Abs(float64(got[x.Name][i])-float64(want[x.Name][i])))
			}
			if x.Role == "compared" {
				require.InDelta(t, most, *x.MaxAbs, 1e-12, x.Name)
				require.LessOrEqual(t, most, 1e-4)
			}
		}
		text := execute(t, "", "check", "--model", dir)
		require.Equal(t, len(want), strings.Count(text.out, "\n"))
		require.Contains(t, text.err, "are as expected")
	}
}

func TestCheckFindsDifferences(t *testing.T) {
	dir := shared.Golden(t, "qwen3_tiny")
	f, err := safetensors.Open(filepath.Join(dir, "expected.safetensors"))
	require.NoError(t, err)
	defer f.Close()
	var entries []safetensors.Entry
	for _, x := range f.Tensors() {
		e := safetensors.Entry{Name: x.Name, DType: x.DType, Shape: x.Shape, Data: append([]byte(nil), f.Bytes(x)...)}
		if x.Name == "seq1.layer.0" {
			v, err := f.Float32s(x)
			require.NoError(t, err)
			bits := math.Float32bits(v[5] + 1e-3)
			for i := range 4 {
				e.Data[20+i] = byte(bits >> (8 * i))
			}
		}
		entries = append(entries, e)
	}
	path := filepath.Join(t.TempDir(), "expected.safetensors")
	w, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, safetensors.Write(w, append(entries, safetensors.Entry{Name: "novel", DType: safetensors.F32, Shape: []int64{1}, Data: make([]byte, 4)}), nil))
	require.NoError(t, w.Close())

	r := execute(t, "", "check", "--json", "--model", dir, "--expected", path)
	r.oneLine(t, 1, "2 of ", "differ")
	rep := decode[checked](t, r.out)
	require.False(t, rep.OK)
	for _, x := range rep.Tensors {
		require.Equal(t, x.Name != "seq1.layer.0" && x.Name != "novel", x.OK, x.Name)
	}
	r = execute(t, "", "check", "--model", dir, "--expected", path)
	require.Equal(t, 1, r.code)
	require.Equal(t, 2, strings.Count(r.out, "WRONG"))
	require.Regexp(t, `WRONG +seq1\.layer\.0 .* out of tolerance`, r.out)
	require.Regexp(t, `WRONG +novel .* the model does not produce it`, r.out)
	require.Equal(t, 1, execute(t, "", "check", "--model", dir, "--expected", path, "--atol", "1").code, "what is missing stays wrong")
}

func TestExport(t *testing.T) {
	dir := t.TempDir()
	for _, module := range []string{"vision", "prefill", "decode"} {
		for _, basic := range []bool{false, true} {
			path := filepath.Join(dir, module+".onnx")
			args := []string{"export", "--module", module, "-o", path}
			if basic {
				args = append(args, "--decompose")
			}
			r := execute(t, "", args...)
			require.Equal(t, 0, r.code, r.err)
			require.Empty(t, r.out)
			require.Contains(t, r.err, "written to "+path)
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			piped := succeed(t, "", append(args, "-o", "-")...)
			require.Equal(t, len(data), len(piped))

			g, err := onnx.ImportFile(path, onnx.ImportOptions{})
			require.NoError(t, err)
			for _, n := range g.Nodes {
				require.Empty(t, n.Op.Domain)
				if basic {
					for _, composite := range []string{"Attention", "RMSNormalization", "RotaryEmbedding", "Gelu", "Swish", "TensorScatter"} {
						require.NotEqual(t, composite, n.Op.Name)
					}
				}
			}
			// Named as inspect shows them.
			shown := decode[inspected](t, succeed(t, "", "inspect", "--json"))
			for _, m := range shown.Modules {
				if m.Name != module {
					continue
				}
				in, out, err := onnx.Names(data)
				require.NoError(t, err)
				var wantIn, wantOut []string
				for _, v := range m.Inputs {
					wantIn = append(wantIn, v.Name)
				}
				for _, v := range m.Outputs {
					wantOut = append(wantOut, v.Name)
				}
				for _, s := range m.States {
					wantIn, wantOut = append(wantIn, s.Name), append(wantOut, s.Output)
				}
				require.ElementsMatch(t, wantIn, in)
				require.ElementsMatch(t, wantOut, out)
			}
		}
	}
	require.ElementsMatch(t, []string{"vision.onnx", "prefill.onnx", "decode.onnx"}, names(t, dir))
}

func TestExportBind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.onnx")
	succeed(t, "", "export", "--module", "prefill", "--decompose", "--bind", "chunk=16,rows=1", "--context", "128", "-o", path)
	g, err := onnx.ImportFile(path, onnx.ImportOptions{})
	require.NoError(t, err)
	require.Empty(t, g.Symbols)
	ids, ok := g.Input("input_ids")
	require.True(t, ok)
	require.Equal(t, "i64[1,16]", g.Value(ids).Type.String())
	logits, ok := g.Output("logits")
	require.True(t, ok)
	require.Equal(t, "f32[1,1,512]", g.Value(logits).Type.String())

	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{2, "--module is missing", []string{"-o", path}},
		{2, "--output is missing", []string{"--module", "vision"}},
		{2, "want vision, prefill or decode", []string{"--module", "head", "-o", path}},
		{2, "write SYMBOL=NUMBER", []string{"--module", "vision", "-o", path, "--bind", "tiles"}},
		{2, "write SYMBOL=NUMBER", []string{"--module", "vision", "-o", path, "--bind", "tiles=0"}},
		{2, "--opset 7", []string{"--module", "vision", "-o", path, "--opset", "7"}},
		{1, "has no such symbol; it has tiles", []string{"--module", "vision", "-o", path, "--bind", "chunk=3"}},
		{1, "its bounds are 1..64", []string{"--module", "vision", "-o", path, "--bind", "tiles=1000"}},
		{1, "has no module vision", []string{"--module", "vision", "-o", path, "--model", shared.Golden(t, "llama_tiny")}},
		{1, "at most 1024", []string{"--module", "decode", "-o", path, "--context", "9999"}},
		{1, "cannot write", []string{"--module", "vision", "-o", filepath.Join(path, "x", "y")}},
		{1, "is a folder", []string{"--module", "vision", "-o", filepath.Dir(path)}},
	} {
		require.NoError(t, os.RemoveAll(path))
		execute(t, "", append([]string{"export"}, c.args...)...).oneLine(t, c.code, c.want)
		require.Empty(t, names(t, filepath.Dir(path)), "nothing stays behind")
	}
}
