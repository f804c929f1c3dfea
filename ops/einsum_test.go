package ops

import (
	"testing"

	"github.com/heddle-ml/heddle/graph"
)

func TestEinsum(t *testing.T) {
	of := func(eq string) []graph.Attr { return with(graph.Str("equation", eq)) }
	check(t, []row{
		{op: "Einsum", in: in("f32[2,3]", "f32[3,4]"), attrs: of("ij,jk->ik"), want: out("f32[2,4]")},
		{op: "Einsum", in: in("f32[2,3]", "f32[3,4]"), attrs: of("ij, jk"), want: out("f32[2,4]")},
		{op: "Einsum", in: in("f32[2,3]"), attrs: of("ji"), want: out("f32[3,2]")},
		{op: "Einsum", in: in("f32[2,3]"), attrs: of("ij->"), want: out("f32[]")},
		{op: "Einsum", in: in("f64[3,3]"), attrs: of("ii->i"), want: out("f64[3]")},
		{op: "Einsum", in: in("f32[batch,8,chunk,64]", "f32[batch,8,past+chunk,64]"), attrs: of("bhqd,bhkd->bhqk"), want: out("f32[batch,8,chunk,chunk+past]")},
		{op: "Einsum", in: in("f16[batch,5,chunk,8]", "f16[5,8,4]"), attrs: of("...hqd,hdk->...hqk"), want: out("f16[batch,5,chunk,4]")},
		{op: "Einsum", in: in("i32[7,3,4]", "i32[4,2]"), attrs: of("...ij,...jk->...ik"), want: out("i32[7,3,2]")},
		{op: "Einsum", in: in("f32[chunk]", "f32[past]"), attrs: of("i,j->ji"), want: out("f32[past,chunk]")},
		{op: "Einsum", in: in("f32[1,past]", "f32[past,chunk]"), attrs: of("ik,kj->ij"), want: out("f32[1,chunk]")},
		{op: "Einsum", in: in("i8[2,3]", "i8[3]", "i8[2]"), attrs: of("ab,b,a->b"), want: out("i8[3]")},

		{op: "Einsum", in: in("f32[2]"), attrs: nil, err: refuse("equation", "missing")},
		{op: "Einsum", in: in("f32[2]"), attrs: of("i,i"), err: refuse("2 terms for 1 operands")},
		{op: "Einsum", in: in("f32[2]"), attrs: of("ij"), err: refuse("does not fit")},
		{op: "Einsum", in: in("f32[2]"), attrs: of("...ij"), err: refuse("does not fit")},
		{op: "Einsum", in: in("f32[2]"), attrs: of("1"), err: refuse("no term")},
		{op: "Einsum", in: in("f32[2]"), attrs: of("...i..."), err: refuse("no term")},
		{op: "Einsum", in: in("f32[2]"), attrs: of("i->i->i"), err: refuse("no term")},
		{op: "Einsum", in: in("f32[2]"), attrs: of("i->j"), err: refuse("no operand has")},
		{op: "Einsum", in: in("f32[2]"), attrs: of("i->ii"), err: refuse("twice")},
		{op: "Einsum", in: in("f32[2,3]"), attrs: of("...i->i"), err: refuse("ellipsis")},
		{op: "Einsum", in: in("f32[2]", "f32[3]"), attrs: of("i,i"), err: refuse("dimension 0 of input 1", "3", "2")},
		{op: "Einsum", in: in("f32[chunk]", "f32[past]"), attrs: of("i,i"), err: refuse("past", "chunk")},
	})
}
