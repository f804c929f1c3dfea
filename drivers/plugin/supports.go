package plugin

import (
	"fmt"
	"runtime"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/abi"
	"github.com/heddle-ml/heddle/hal/driver"
)

// textRoom is the room for the reasons of one node's refusal, on average.
const textRoom = 96

// reasons are the codes that go with the library's.
var reasons = map[abi.Reason]driver.ReasonCode{
	abi.ReasonOperator: driver.ReasonOperator, abi.ReasonType: driver.ReasonType, abi.ReasonEncoding: driver.ReasonEncoding,
	abi.ReasonShape: driver.ReasonShape, abi.ReasonAttribute: driver.ReasonAttribute, abi.ReasonDynamic: driver.ReasonDynamic,
	abi.ReasonLimit: driver.ReasonLimit, abi.ReasonPolicy: driver.ReasonPolicy,
}

// Supports asks the library. When it fails, the reason stands at every node:
// nothing is taken to be possible that nobody said was.
func (d *device) Supports(g *graph.Graph) []driver.Verdict {
	out, err := d.supports(g)
	if err != nil {
		out = make([]driver.Verdict, len(g.Nodes))
		for i := range out {
			out[i] = driver.Verdict{Code: driver.ReasonPolicy, Text: err.Error()}
		}
		return out
	}
	for i := range g.Nodes {
		if !out[i].OK {
			continue
		}
		for _, id := range g.Nodes[i].In {
			if d.onnx {
				break // whatever ONNX lacks is written as plain numbers
			}
			if err := usable(g.Value(id)); err != nil {
				out[i] = driver.Verdict{Code: driver.ReasonEncoding, Text: err.Error()}
				break
			}
		}
	}
	return out
}

// describe returns g in the form in which the library is asked about it.
func (d *device) describe(g *graph.Graph) ([]byte, error) {
	if d.onnx {
		return describeONNX(g)
	}
	f, err := d.keepForm(g)
	if err != nil {
		return nil, err
	}
	return f.blob, nil
}

func (d *device) supports(g *graph.Graph) ([]driver.Verdict, error) {
	if len(g.Nodes) == 0 {
		return []driver.Verdict{}, nil
	}
	blob, err := d.describe(g)
	if err != nil {
		return nil, err
	}
	verdicts := make([]abi.Verdict, len(g.Nodes))
	for i := range verdicts {
		verdicts[i].Reason = uint32(abi.ReasonUnanswered)
	}
	texts := make([]byte, textRoom*len(g.Nodes))
	var pin runtime.Pinner
	defer pin.Unpin()
	args := &abi.SupportsArgs{Graph: arrayOf(&pin, blob), GraphSize: uint64(len(blob)), Verdicts: arrayOf(&pin, verdicts), VerdictCap: uint32(len(verdicts)), Texts: bufOf(&pin, texts)}
	if err := call(d, "supports", d.lib.table.Supports, d.handle, args); err != nil {
		return nil, err
	}
	if int(args.VerdictCount) != len(verdicts) {
		return nil, nonsense("supports", "%d answers for %d nodes", args.VerdictCount, len(verdicts))
	}
	if args.Texts.Len > uint64(len(texts)) {
		return nil, nonsense("supports", "texts of %d bytes in room of %d", args.Texts.Len, len(texts))
	}
	texts = texts[:args.Texts.Len]
	out := make([]driver.Verdict, len(verdicts))
	for i, v := range verdicts {
		if out[i], err = readVerdict(v, texts); err != nil {
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
	}
	return out, nil
}

func readVerdict(v abi.Verdict, texts []byte) (driver.Verdict, error) {
	out := driver.Verdict{Group: max(0, v.Group)}
	if abi.Reason(v.Reason) == abi.ReasonNone {
		out.OK = true
		return out, nil
	}
	code, known := reasons[abi.Reason(v.Reason)]
	switch {
	case abi.Reason(v.Reason) == abi.ReasonUnanswered:
		return out, nonsense("supports", "no answer")
	case !known: // a later minor version's
		code = driver.ReasonPolicy
	}
	out.Code = code
	if end := uint64(v.Text) + uint64(v.TextLen); v.TextLen > 0 {
		if end > uint64(len(texts)) {
			return out, nonsense("supports", "text %d+%d is not inside of %d bytes", v.Text, v.TextLen, len(texts))
		}
		out.Text = printable(texts[v.Text:end])
	}
	if out.Text == "" {
		out.Text = fmt.Sprintf("the library refuses it (reason %d)", v.Reason)
	}
	return out, nil
}
