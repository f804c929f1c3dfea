package onnx

import (
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
)

// minExportOpset is the least operator set that Export writes: from 18 on the
// axes of all reductions are inputs and Split says how many parts it makes.
const minExportOpset = 18

// irVersion returns the version of the file format that came with an operator
// set. Older readers refuse newer versions, so it is no newer than needed.
func irVersion(opset int) int64 {
	switch {
	case opset <= 18:
		return 8
	case opset <= 20:
		return 9
	case opset <= 22:
		return 10
	case opset == 23:
		return 11
	case opset == 24:
		return 12
	}
	return 13
}

// sameSince lists the operators whose version in package ops is newer than
// minExportOpset only because they got more types, attributes or inputs: up
// from the given set (or the least one, 0) a call that uses none of those has
// the same meaning. All others need the set of their version.
var sameSince = map[string]int{
	"Acos": 0, "Acosh": 0, "Asin": 0, "Asinh": 0, "Atan": 0, "Atanh": 0, "AveragePool": 0, "Cast": 0, "CastLike": 0, "ConstantOfShape": 0, "Conv": 0, "ConvTranspose": 0, "Cos": 0, "Cosh": 0, "DequantizeLinear": 0, "Elu": 0, "Equal": 0, "EyeLike": 0,
	"Flatten": 0, "GlobalAveragePool": 0, "GlobalMaxPool": 0, "HardSigmoid": 0, "HardSwish": 0, "Identity": 0, "InstanceNormalization": 0,
	"IsInf": 0, "IsNaN": 0, "LpNormalization": 0, "MaxPool": 0, "Mish": 0, "Pad": 0, "QLinearMatMul": 0, "QuantizeLinear": 0, "Range": 0, "ReduceMax": 0, "ReduceMin": 0,
	"Reshape": 0, "Resize": 0, "Round": 0, "Selu": 0, "Shape": 0, "Sin": 0, "Sinh": 0, "Size": 0, "Softplus": 0, "Softsign": 0, "Squeeze": 0, "Tan": 0,
	"ThresholdedRelu": 0, "TopK": 0, "Transpose": 0, "Unsqueeze": 0,
	"Attention": 23,
}

// attrSince gives the set in which an operator of sameSince got an attribute.
var attrSince = map[string]map[string]int{
	"AveragePool":      {"dilations": 19},
	"Cast":             {"saturate": 19, "round_mode": 24},
	"CastLike":         {"saturate": 19, "round_mode": 24},
	"DequantizeLinear": {"block_size": 21, "output_dtype": 23},
	"QuantizeLinear":   {"block_size": 21, "output_dtype": 21, "saturate": 19, "precision": 23},
	"Range":            {"stash_type": 27},
}

// typeSince gives the set in which an operator of sameSince accepted a type
// that it did not accept in the least set.
func typeSince(op string, version int, e enc.Elem) int {
	switch e {
	case enc.I4, enc.U4:
		return 21
	case enc.BF16:
		switch op {
		case "Range":
			return 27
		case "TopK":
			return 24
		case "QLinearMatMul":
			return 21
		case "IsInf":
			return 20
		}
		if version == 22 {
			return 22
		}
	case enc.F16:
		switch op {
		case "Range":
			return 27
		case "QLinearMatMul":
			return 21
		case "IsInf":
			return 20
		}
	case enc.I16, enc.U16:
		if op == "QuantizeLinear" || op == "DequantizeLinear" {
			return 21
		}
	case enc.Bool:
		if op == "ReduceMax" || op == "ReduceMin" {
			return 20
		}
	}
	return 0
}

// opsetOf returns the least operator set, from minExportOpset, that has what
// a node uses.
func opsetOf(g *graph.Graph, n *graph.Node) int {
	since, same := sameSince[n.Op.Name]
	if !same {
		return max(minExportOpset, n.Op.Version)
	}
	need := max(minExportOpset, since)
	for i := range n.Attrs {
		need = max(need, attrSince[n.Op.Name][n.Attrs[i].Name])
		if s := n.Attrs[i].Str; n.Op.Name == "Pad" && s == "wrap" || n.Op.Name == "Resize" && s == "half_pixel_symmetric" {
			need = max(need, 19)
		}
	}
	if n.Op.Name == "Attention" && len(n.In) > 6 {
		need = max(need, 24) // nonpad_kv_seqlen
	}
	for _, v := range append(append([]graph.ValueID{}, n.In...), n.Out...) {
		if v != graph.NoValue {
			need = max(need, typeSince(n.Op.Name, n.Op.Version, g.Values[v].Type.Elem))
		}
	}
	return need
}
