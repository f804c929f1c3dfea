package plugin

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx"
)

// weightsFile names the external data of the ONNX models that libraries get.
const weightsFile = "weights"

// exportOptions are those of every model: operators of domain heddle are
// written as they are, for the library to judge.
func exportOptions(data graph.Data, external io.Writer) onnx.ExportOptions {
	return onnx.ExportOptions{Data: data, Producer: "heddle", Heddle: true, External: external, ExternalName: weightsFile}
}

// numbered returns a copy of g with its nodes' numbers in front of their
// names, as libraries that want ONNX find them.
func numbered(g *graph.Graph) *graph.Graph {
	out := *g
	out.Nodes = slices.Clone(g.Nodes)
	for i := range out.Nodes {
		out.Nodes[i].Name = strconv.Itoa(i) + ":" + g.Nodes[i].Name
	}
	return &out
}

// exportONNX returns g as ONNX, and its weights in a memory file, which
// release closes. Weights in forms that ONNX lacks become plain numbers.
func exportONNX(g *graph.Graph, data graph.Data) (model []byte, weights []where, release func(), err error) {
	var b bytes.Buffer
	f, err := memoryFile("heddle-onnx-weights", func(w io.Writer) error {
		buffered := bufio.NewWriterSize(w, 1<<20)
		if err := onnx.Export(&b, numbered(g), exportOptions(data, buffered)); err != nil {
			return err
		}
		return buffered.Flush()
	})
	if err != nil {
		return nil, nil, nil, err
	}
	release = func() { _ = f.Close() } // nothing of it is needed any more
	info, err := f.Stat()
	if err != nil {
		release()
		return nil, nil, nil, fmt.Errorf("the weights' memory file: %w", err)
	}
	if info.Size() > 0 {
		weights = append(weights, where{name: weightsFile, fd: f.Fd(), size: info.Size()})
	}
	return aligned(b.Bytes()), weights, release, nil
}

// describeONNX returns g as ONNX without its weights: the model tells where
// they would be in a file that is never written. Supports has no bytes of
// weights, and must not take the time to move them.
func describeONNX(g *graph.Graph) ([]byte, error) {
	bare := numbered(g)
	bare.Values = slices.Clone(g.Values)
	bare.Sources = append(slices.Clone(g.Sources), graph.Source{Name: nothing})
	var most int64
	for i := range bare.Values {
		v := &bare.Values[i]
		if v.Kind != graph.Const || v.Data == nil || v.Data.Dims != nil || carried(v.Data) {
			continue
		}
		shape, ok := v.Type.Shape.Const()
		if !ok {
			return nil, fmt.Errorf("weight %q has shape %s, which is not constant", v.Name, v.Type.Shape)
		}
		if v.Type.Enc.Kind == enc.Block || !storedAsTyped(v) {
			v.Type.Enc = enc.Encoding{} // as which it will be exported
		}
		l, err := v.Type.Enc.Layout(v.Type.Elem, shape)
		if err != nil {
			return nil, fmt.Errorf("weight %q: %w", v.Name, err)
		}
		most = max(most, l.Data, l.Scale, l.Zero)
		p := graph.Part{Source: nothing, Elem: v.Type.Elem, Shape: shape, Enc: v.Type.Enc}
		if v.Type.Enc.Kind == enc.Plain {
			p.Elem, p.Enc = v.Type.Enc.Stored(v.Type.Elem), enc.Encoding{}
		}
		v.Data = &graph.Weight{Parts: []graph.Part{p}}
	}
	z, release, err := zeros(most)
	if err != nil {
		return nil, fmt.Errorf("%d bytes of address space: %w", most, err)
	}
	defer release()
	var b bytes.Buffer
	if err := onnx.Export(&b, bare, exportOptions(z, io.Discard)); err != nil {
		return nil, err
	}
	return aligned(b.Bytes()), nil
}

// carried reports whether the graph carries a weight's bytes itself.
func carried(w *graph.Weight) bool {
	return !slices.ContainsFunc(w.Parts, func(p graph.Part) bool { return p.Inline == nil })
}

// nothing is a source of zeros.
const nothing = "heddle/nothing"

// zeroData gives it.
type zeroData []byte

func (z zeroData) Source(string) ([]byte, error) { return z, nil }
