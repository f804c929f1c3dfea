package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const snippet = `#include "textflag.h"
#define CONST8(name, value) \
	DATA  name<>+0(SB)/4, value
CONST8(half, $0.5)
CONST8(signBit, $0x80000000)
// ADDQ $1, AX
#define PUT(lo) \
	VMULPS  Y0, lo, lo \
	JEQ     done

// func f(t *T)
TEXT ·f(SB), NOSPLIT, $0-8
	MOVQ t+0(FP), DI
loop:
	VADDPS 32(SI), Y2, Y3 // sum
	VMOVUPS (64*k+32)(BX), Y1
	SUBQ $8, CX
	JGE loop
	VZEROUPPER
	RET
`

func TestAsmSites(t *testing.T) {
	var got []string
	for _, s := range asmSites([]byte(snippet)) {
		for _, m := range s.Mutations {
			changed := m.apply([]byte(snippet))
			was, is := split([]byte(snippet)), split(changed)
			require.Len(t, is, len(was), "lines stay in their places")
			require.NotEqual(t, was[s.Line-1], is[s.Line-1])
			got = append(got, s.Func+" "+m.Kind+": "+is[s.Line-1])
		}
	}
	require.Equal(t, []string{
		"CONST8 constant: CONST8(half, $1.75)", "CONST8 constant: CONST8(half, $-0.5)", "CONST8 constant: CONST8(half, $0.0)",
		"CONST8 constant: CONST8(signBit, $0x80400000)", "CONST8 constant: CONST8(signBit, $0)",
		"PUT opcode: \tVADDPS  Y0, lo, lo \\", "PUT instruction: \t \\", "PUT register: \tVMULPS  Y1, lo, lo \\",
		"PUT opcode: \tJNE     done", "PUT instruction: \t",
		"f instruction: \t",
		"f opcode: \tVSUBPS 32(SI), Y2, Y3 // sum", "f instruction: \t // sum",
		"f constant: \tVADDPS 36(SI), Y2, Y3 // sum", "f constant: \tVADDPS 28(SI), Y2, Y3 // sum", "f constant: \tVADDPS 0(SI), Y2, Y3 // sum",
		"f register: \tVADDPS 32(SI), Y3, Y3 // sum",
		"f instruction: \t",
		"f constant: \tVMOVUPS (65*k+32)(BX), Y1", "f constant: \tVMOVUPS (63*k+32)(BX), Y1", "f constant: \tVMOVUPS (0*k+32)(BX), Y1",
		"f constant: \tVMOVUPS (64*k+36)(BX), Y1", "f constant: \tVMOVUPS (64*k+28)(BX), Y1", "f constant: \tVMOVUPS (64*k+0)(BX), Y1",
		"f opcode: \tADDQ $8, CX", "f instruction: \t", "f constant: \tSUBQ $9, CX", "f constant: \tSUBQ $7, CX", "f constant: \tSUBQ $0, CX",
		"f opcode: \tJGT loop", "f instruction: \t",
		"f instruction: \t",
	}, got)
}
