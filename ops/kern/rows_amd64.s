//go:build !noasm

#include "go_asm.h"
#include "textflag.h"

// A window of eight words that ends n words into the -1s is a mask of n lanes:
// mask<> + 32 - 4n.
DATA mask<>+0(SB)/8, $-1
DATA mask<>+8(SB)/8, $-1
DATA mask<>+16(SB)/8, $-1
DATA mask<>+24(SB)/8, $-1
DATA mask<>+32(SB)/8, $0
DATA mask<>+40(SB)/8, $0
DATA mask<>+48(SB)/8, $0
DATA mask<>+56(SB)/8, $0
GLOBL mask<>(SB), RODATA|NOPTR, $64

// MASK sets reg to a mask of n lanes, 0 < n < 8. It clobbers n and R13.
#define MASK(n, reg) \
	LEAQ    mask<>+32(SB), R13 \
	SHLQ    $2, n              \
	SUBQ    n, R13             \
	VMOVDQU (R13), reg

// func dotAVX2(r *Rows)
//
// Four rows at a time, two sums of eight lanes each. A row alone takes the
// same sums in the same order, so its result does not depend on its company.
//
// SI is X, DX the current row, R8 the row distance in bytes, R9 three of them,
// DI walks Y, R10 counts rows, R11 is D, AX an offset in bytes, CX what is left
// of D.
TEXT ·dotAVX2(SB), NOSPLIT, $0-8
	MOVQ r+0(FP), BX
	MOVQ Rows_X(BX), SI
	MOVQ Rows_M(BX), DX
	MOVQ Rows_Y(BX), DI
	MOVQ Rows_Stride(BX), R8
	SHLQ $2, R8
	LEAQ (R8)(R8*2), R9
	MOVQ Rows_N(BX), R10
	MOVQ Rows_D(BX), R11

	MOVQ  R11, R12
	ANDQ  $7, R12
	JEQ   fours
	MASK(R12, Y15)
	MOVQ  R11, R12
	ANDQ  $7, R12

fours:
	SUBQ $4, R10
	JLT  singles

four:
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	MOVQ   DX, BX
	MOVQ   SI, AX
	LEAQ   (DX)(R9*1), R13
	MOVQ   R11, CX
	SUBQ   $16, CX
	JLT    four8

four16:
	VMOVUPS     (AX), Y8
	VMOVUPS     32(AX), Y9
	VFMADD231PS (BX), Y8, Y0
	VFMADD231PS (BX)(R8*1), Y8, Y1
	VFMADD231PS (BX)(R8*2), Y8, Y2
	VFMADD231PS (R13), Y8, Y3
	VFMADD231PS 32(BX), Y9, Y4
	VFMADD231PS 32(BX)(R8*1), Y9, Y5
	VFMADD231PS 32(BX)(R8*2), Y9, Y6
	VFMADD231PS 32(R13), Y9, Y7
	ADDQ        $64, AX
	ADDQ        $64, BX
	ADDQ        $64, R13
	SUBQ        $16, CX
	JGE         four16

four8:
	ADDQ        $16, CX
	CMPQ        CX, $8
	JLT         fourTail
	VMOVUPS     (AX), Y8
	VFMADD231PS (BX), Y8, Y0
	VFMADD231PS (BX)(R8*1), Y8, Y1
	VFMADD231PS (BX)(R8*2), Y8, Y2
	VFMADD231PS (R13), Y8, Y3
	ADDQ        $32, AX
	ADDQ        $32, BX
	ADDQ        $32, R13

fourTail:
	TESTQ       R12, R12
	JEQ         fourSum
	VMASKMOVPS  (AX), Y15, Y8
	VMASKMOVPS  (BX), Y15, Y9
	VMASKMOVPS  (BX)(R8*1), Y15, Y10
	VMASKMOVPS  (BX)(R8*2), Y15, Y11
	VMASKMOVPS  (R13), Y15, Y12
	VFMADD231PS Y9, Y8, Y4
	VFMADD231PS Y10, Y8, Y5
	VFMADD231PS Y11, Y8, Y6
	VFMADD231PS Y12, Y8, Y7

fourSum:
	VADDPS       Y4, Y0, Y0
	VADDPS       Y5, Y1, Y1
	VADDPS       Y6, Y2, Y2
	VADDPS       Y7, Y3, Y3
	VHADDPS      Y1, Y0, Y0
	VHADDPS      Y3, Y2, Y2
	VHADDPS      Y2, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS       X1, X0, X0
	VMOVUPS      X0, (DI)
	ADDQ         $16, DI
	LEAQ         (DX)(R8*4), DX
	SUBQ         $4, R10
	JGE          four

singles:
	ADDQ $4, R10
	JEQ  done

single:
	VXORPS Y0, Y0, Y0
	VXORPS Y4, Y4, Y4
	MOVQ   DX, BX
	MOVQ   SI, AX
	MOVQ   R11, CX
	SUBQ   $16, CX
	JLT    single8

single16:
	VMOVUPS     (AX), Y8
	VMOVUPS     32(AX), Y9
	VFMADD231PS (BX), Y8, Y0
	VFMADD231PS 32(BX), Y9, Y4
	ADDQ        $64, AX
	ADDQ        $64, BX
	SUBQ        $16, CX
	JGE         single16

single8:
	ADDQ        $16, CX
	CMPQ        CX, $8
	JLT         singleTail
	VMOVUPS     (AX), Y8
	VFMADD231PS (BX), Y8, Y0
	ADDQ        $32, AX
	ADDQ        $32, BX

singleTail:
	TESTQ       R12, R12
	JEQ         singleSum
	VMASKMOVPS  (AX), Y15, Y8
	VMASKMOVPS  (BX), Y15, Y9
	VFMADD231PS Y9, Y8, Y4

singleSum:
	VADDPS       Y4, Y0, Y0
	VHADDPS      Y0, Y0, Y0
	VHADDPS      Y0, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDSS       X1, X0, X0
	VMOVSS       X0, (DI)
	ADDQ         $4, DI
	ADDQ         R8, DX
	DECQ         R10
	JNE          single

done:
	VZEROUPPER
	RET

// func axpyAVX2(r *Rows)
//
// Blocks of 64, then 8, then the last columns, each held in registers over all
// rows.
//
// SI is X, DX the block's column in row 0, BX walks the rows, R8 the row
// distance in bytes, DI the block in Y, R10 is N, R11 what is left of D, AX
// walks X, CX counts rows.
TEXT ·axpyAVX2(SB), NOSPLIT, $0-8
	MOVQ  r+0(FP), BX
	MOVQ  Rows_X(BX), SI
	MOVQ  Rows_M(BX), DX
	MOVQ  Rows_Y(BX), DI
	MOVQ  Rows_Stride(BX), R8
	SHLQ  $2, R8
	MOVQ  Rows_N(BX), R10
	MOVQ  Rows_D(BX), R11
	TESTQ R10, R10
	JLE   done
	SUBQ  $64, R11
	JLT   eights

wide:
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS 64(DI), Y2
	VMOVUPS 96(DI), Y3
	VMOVUPS 128(DI), Y4
	VMOVUPS 160(DI), Y5
	VMOVUPS 192(DI), Y6
	VMOVUPS 224(DI), Y7
	MOVQ    DX, BX
	MOVQ    SI, AX
	MOVQ    R10, CX

wideRow:
	VBROADCASTSS (AX), Y8
	VFMADD231PS  (BX), Y8, Y0
	VFMADD231PS  32(BX), Y8, Y1
	VFMADD231PS  64(BX), Y8, Y2
	VFMADD231PS  96(BX), Y8, Y3
	VFMADD231PS  128(BX), Y8, Y4
	VFMADD231PS  160(BX), Y8, Y5
	VFMADD231PS  192(BX), Y8, Y6
	VFMADD231PS  224(BX), Y8, Y7
	ADDQ         $4, AX
	ADDQ         R8, BX
	DECQ         CX
	JNE          wideRow
	VMOVUPS      Y0, (DI)
	VMOVUPS      Y1, 32(DI)
	VMOVUPS      Y2, 64(DI)
	VMOVUPS      Y3, 96(DI)
	VMOVUPS      Y4, 128(DI)
	VMOVUPS      Y5, 160(DI)
	VMOVUPS      Y6, 192(DI)
	VMOVUPS      Y7, 224(DI)
	ADDQ         $256, DX
	ADDQ         $256, DI
	SUBQ         $64, R11
	JGE          wide

eights:
	ADDQ $64, R11
	SUBQ $8, R11
	JLT  tail

eight:
	VMOVUPS (DI), Y0
	MOVQ    DX, BX
	MOVQ    SI, AX
	MOVQ    R10, CX

eightRow:
	VBROADCASTSS (AX), Y8
	VFMADD231PS  (BX), Y8, Y0
	ADDQ         $4, AX
	ADDQ         R8, BX
	DECQ         CX
	JNE          eightRow
	VMOVUPS      Y0, (DI)
	ADDQ         $32, DX
	ADDQ         $32, DI
	SUBQ         $8, R11
	JGE          eight

tail:
	ADDQ       $8, R11
	JEQ        done
	MASK(R11, Y15)
	VMASKMOVPS (DI), Y15, Y0

tailRow:
	VBROADCASTSS (SI), Y8
	VMASKMOVPS   (DX), Y15, Y1
	VFMADD231PS  Y1, Y8, Y0
	ADDQ         $4, SI
	ADDQ         R8, DX
	DECQ         R10
	JNE          tailRow
	VMASKMOVPS   Y0, Y15, (DI)

done:
	VZEROUPPER
	RET
