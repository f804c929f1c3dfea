package oracle

// castOps change types or hand their operand on.
var castOps = map[string]evaluator{
	"Cast":     cast,
	"CastLike": cast,
	"Identity": func(x *node) ([]*Tensor, error) { return one(x.arg(0), nil) },
}

// cast converts to the output's type. Floating-point numbers are rounded, or
// truncated to integers; integers discard the bits that do not fit. What
// does not fit from floats is undefined in ONNX: see setFloat.
func cast(x *node) ([]*Tensor, error) { return one(x.cast(x.arg(0))) }

func (x *node) cast(t *Tensor) (*Tensor, error) {
	out, err := x.make(x.elem(0), t.Shape)
	if err != nil {
		return nil, err
	}
	for i := range out.Len() {
		switch {
		case t.F != nil:
			out.setFloat(i, t.F[i])
		case out.F != nil && t.U != nil:
			out.F[i] = roundTo(out.Elem, float64(t.U[i]))
		case out.F != nil:
			out.F[i] = roundTo(out.Elem, float64(t.I[i]))
		default:
			var bits uint64
			if t.U != nil {
				bits = t.U[i]
			} else {
				bits = uint64(t.I[i])
			}
			if out.U != nil {
				out.U[i] = wrapU(out.Elem, bits)
			} else {
				out.I[i] = wrapI(out.Elem, int64(bits))
			}
		}
	}
	return out, x.step(out.Len())
}
