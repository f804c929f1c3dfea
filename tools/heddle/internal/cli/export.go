package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/onnx"
	"github.com/heddle-ml/heddle/graph/passes"
	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/tools/heddle/internal/atomicfile"
	"github.com/heddle-ml/heddle/tools/heddle/internal/tty"
)

type exportFlags struct {
	model     modelFlag
	module    string
	decompose bool
	out       string
	bind      []string
	context   int
	opset     int
}

func (a *app) exportCommand() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export --module NAME -o F.onnx",
		Short: "Write a module's graph as ONNX",
		Long: `Writes the graph of one module with its weights as an ONNX model, for Netron,
vendors' compilers and ONNX Runtime. Inputs and outputs are named as inspect
shows them. Symbolic sizes stay symbolic unless --bind gives them values. The
KV cache is explicit: feed what output NAME.out gives to input NAME of the next
run.

Operators are ONNX's own. --decompose writes everything that did not exist
in operator set 18 (Attention, RMSNormalization, RotaryEmbedding, ...) with
older operators, which most runtimes know. Weights beyond two gigabytes go to a
second file, F.onnx.data.`,
		Example: `  heddle export --module vision -o vision.onnx
  heddle export --model DIR --module prefill --decompose --bind chunk=128,rows=1 -o prefill.onnx
  heddle export --module decode --decompose --context 2048 -o decode.onnx`,
		Args: atMost(0),
		RunE: a.action(func(_ context.Context, _ []string) error { return a.export(&f) }),
	}
	fl := cmd.Flags()
	f.model.add(cmd, modelHelp)
	fl.StringVar(&f.module, "module", "", "`module` to write: vision, prefill or decode")
	fl.BoolVar(&f.decompose, "decompose", false, "write newer and composite operators with basic ones")
	fl.StringVarP(&f.out, "output", "o", "", "`file` to write; - for standard output")
	fl.StringSliceVar(&f.bind, "bind", nil, "give symbols values, such as chunk=16,rows=1 or tiles=4")
	fl.IntVar(&f.context, "context", 0, "`tokens` that the KV cache holds (default: the model's limit, at most 4096)")
	fl.IntVar(&f.opset, "opset", 0, "ONNX operator `set` (default: the oldest that has all operators, from 18)")
	_ = cmd.RegisterFlagCompletionFunc("module", cobra.FixedCompletions([]string{"vision", "prefill", "decode"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagFilename("output", "onnx")
	return cmd
}

// moduleNames lists the graphs that a model has.
func moduleNames(d *models.Description) []string {
	var out []string
	if d.Arch.Vision != nil {
		out = append(out, "vision")
	}
	if d.Arch.Text != nil {
		out = append(out, "prefill", "decode")
	}
	return out
}

// moduleGraph returns the graph of a module, with a KV cache for context
// tokens; 0 means the default.
func moduleGraph(d *models.Description, module string, context int64) (*graph.Graph, error) {
	if t := d.Arch.Text; t != nil && (context < 0 || context > t.MaxPositions) {
		return nil, fmt.Errorf("a context of %d tokens: the model was made for at most %d", context, t.MaxPositions)
	}
	o := arch.TextOptions{Context: context}
	var g *graph.Graph
	var err error
	switch module {
	case "vision":
		g, err = d.Arch.VisionGraph(d.Files, arch.VisionOptions{})
	case "prefill":
		g, err = d.Arch.Prefill(d.Files, o)
	case "decode":
		g, err = d.Arch.Decode(d.Files, o)
	}
	if err != nil {
		return nil, fmt.Errorf("model %s: %s: %s", d.Files.Name(), module, message(err))
	}
	return g, nil
}

func (a *app) export(f *exportFlags) error {
	if f.module == "" {
		return usagef("--module is missing: vision, prefill or decode")
	}
	if f.out == "" {
		return usagef("--output is missing: -o F.onnx, or -o - for standard output")
	}
	if f.out == "-" && a.out.Terminal {
		return usagef("-o -: an ONNX file is nothing for a terminal")
	}
	if f.opset != 0 && (f.opset < exportOpset || f.opset > onnx.MaxOpset) {
		return usagef("--opset %d: want %d to %d", f.opset, exportOpset, onnx.MaxOpset)
	}
	bind, err := parseBindings(f.bind)
	if err != nil {
		return err
	}
	if f.module != "vision" && f.module != "prefill" && f.module != "decode" {
		return usagef("--module %s: want vision, prefill or decode", f.module)
	}
	d, err := f.model.describe()
	if err != nil {
		return err
	}
	defer d.Close()
	if has := moduleNames(d); !slices.Contains(has, f.module) {
		if has == nil {
			return fmt.Errorf("model %s: a %s model has nothing to export", f.model.name(), d.Arch.Family)
		}
		return fmt.Errorf("model %s: a %s model has no module %s; it has %s", f.model.name(), d.Arch.Family, f.module, strings.Join(has, " and "))
	}
	g, err := moduleGraph(d, f.module, int64(f.context))
	if err != nil {
		return err
	}
	if g, err = f.shape(g, bind); err != nil {
		return err
	}
	o := onnx.ExportOptions{Data: d.Files, Opset: f.opset, Producer: "heddle", Heddle: !f.decompose}
	return a.writeONNX(f.out, g, o)
}

// exportOpset is the oldest operator set that models are written with.
const exportOpset = 18

// shape gives symbols their values and takes operators apart.
func (f *exportFlags) shape(g *graph.Graph, bind dim.Binding) (*graph.Graph, error) {
	for _, n := range sortedKeys(bind) {
		if _, ok := g.Symbol(n); !ok {
			var has []string
			for _, s := range g.Symbols {
				has = append(has, s.Name)
			}
			if has == nil {
				return nil, fmt.Errorf("--bind %s: module %s has no symbols", n, f.module)
			}
			return nil, fmt.Errorf("--bind %s: module %s has no such symbol; it has %s", n, f.module, strings.Join(has, " and "))
		}
	}
	var err error
	if len(bind) > 0 {
		if g, err = passes.Specialize(g, bind); err != nil {
			return nil, fmt.Errorf("--bind: %s", message(err))
		}
	}
	if !f.decompose {
		return g, nil
	}
	if g, err = onnx.Stateless(g); err != nil {
		return nil, err
	}
	limit := max(f.opset, exportOpset)
	keep := func(op graph.OpRef) bool { return op.Domain == "" && op.Version <= limit }
	if g, err = passes.Decompose(g, keep); err != nil {
		return nil, err
	}
	return passes.Run(g, passes.Fold, passes.Dedupe, passes.DeadCode)
}

// writeONNX writes the model to a file, its weights to a second one if they do
// not fit into the first.
func (a *app) writeONNX(path string, g *graph.Graph, o onnx.ExportOptions) error {
	if path == "-" {
		return onnx.Export(a.out, g, o)
	}
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	size := &countWriter{w: f}
	err = onnx.Export(size, g, o)
	if errors.Is(err, onnx.ErrTooLarge) {
		return a.writeExternal(path, g, o)
	}
	if err != nil {
		return err
	}
	if err := f.Commit(); err != nil {
		return err
	}
	a.exported(g, path, size.n)
	return nil
}

func (a *app) writeExternal(path string, g *graph.Graph, o onnx.ExportOptions) error {
	weights := path + ".data"
	data, err := atomicfile.Create(weights)
	if err != nil {
		return err
	}
	defer data.Discard()
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	size := &countWriter{w: data}
	o.External, o.ExternalName = size, filepath.Base(weights)
	if err := onnx.Export(f, g, o); err != nil {
		return err
	}
	// The weights first: a model never points to a file that is not there.
	if err := data.Commit(); err != nil {
		return err
	}
	if err := f.Commit(); err != nil {
		return err
	}
	a.exported(g, path+" and "+weights, size.n)
	return nil
}

func (a *app) exported(g *graph.Graph, path string, size int64) {
	a.note("%s: %s, %s, %s and %s written to %s", g.Name, tty.Plural(len(g.Nodes), "node"), tty.Bytes(size),
		tty.Plural(len(g.Inputs)+len(g.States), "input"), tty.Plural(len(g.Outputs)+len(g.States), "output"), path)
}

type countWriter struct {
	w io.Writer
	n int64
}

func (c *countWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// parseBindings reads "chunk=16", "rows=1".
func parseBindings(list []string) (dim.Binding, error) {
	out := dim.Binding{}
	for _, item := range list {
		name, text, ok := strings.Cut(strings.TrimSpace(item), "=")
		n, err := strconv.ParseInt(text, 10, 64)
		if !ok || name == "" || err != nil || n < 1 || n > math.MaxInt32 {
			return nil, usagef("--bind %q: write SYMBOL=NUMBER, such as chunk=16", item)
		}
		if _, twice := out[name]; twice {
			return nil, usagef("--bind: %s is given twice", name)
		}
		out[name] = n
	}
	return out, nil
}
