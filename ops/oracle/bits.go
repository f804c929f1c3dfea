package oracle

import "fmt"

// bitOps work on the bits of integers. Signed numbers are in two's complement,
// as Go's are; results are cut to their type.
var bitOps = map[string]evaluator{
	"BitwiseAnd": bitwise(
		func(a, b int64) int64 { return a & b },
		func(a, b uint64) uint64 { return a & b }),
	"BitwiseOr": bitwise(
		func(a, b int64) int64 { return a | b },
		func(a, b uint64) uint64 { return a | b }),
	"BitwiseXor": bitwise(
		func(a, b int64) int64 { return a ^ b },
		func(a, b uint64) uint64 { return a ^ b }),
	"BitwiseNot": func(x *node) ([]*Tensor, error) {
		t := x.arg(0)
		out, err := x.make(t.Elem, t.Shape)
		if err != nil {
			return nil, err
		}
		for i, n := range t.I {
			out.I[i] = ^n
		}
		for i, n := range t.U {
			out.U[i] = wrapU(t.Elem, ^n)
		}
		return one(out, x.step(t.Len()))
	},
	"BitShift": func(x *node) ([]*Tensor, error) {
		var shift func(a, b uint64) (uint64, error)
		switch d := x.Attrs.Str("direction", ""); d {
		case "LEFT":
			shift = func(a, b uint64) (uint64, error) { return a << b, nil }
		case "RIGHT":
			shift = func(a, b uint64) (uint64, error) { return a >> b, nil }
		default:
			return nil, fmt.Errorf("direction is %q; want LEFT or RIGHT", d)
		}
		return elementwise(arith{u: shift})(x)
	},
}

func bitwise(i func(a, b int64) int64, u func(a, b uint64) uint64) evaluator {
	return elementwise(arith{
		i: func(a, b int64) (int64, error) { return i(a, b), nil },
		u: func(a, b uint64) (uint64, error) { return u(a, b), nil }})
}
