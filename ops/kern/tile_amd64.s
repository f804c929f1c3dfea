//go:build !noasm

#include "go_asm.h"
#include "textflag.h"

// The 6 x 16 register tile. AX and R9 point at rows 0 and 3 of A, R8 is the
// distance of rows in bytes, BX walks the panel, CX counts k down, DX is the
// number of rows.
//
// Y4 to Y15 are the sums of rows 0 to 5, two registers each, Y0 and Y1 the
// current row of the panel, Y2 and Y3 elements of A, alternately so that one
// broadcast does not wait for the products of the one before.

#define PANEL(k) \
	VMOVUPS (64*k)(BX), Y0      \
	VMOVUPS (64*k+32)(BX), Y1

#define ROW0(k) \
	VBROADCASTSS (4*k)(AX), Y2  \
	VFMADD231PS  Y0, Y2, Y4     \
	VFMADD231PS  Y1, Y2, Y5

#define ROW1(k) \
	VBROADCASTSS (4*k)(AX)(R8*1), Y3 \
	VFMADD231PS  Y0, Y3, Y6          \
	VFMADD231PS  Y1, Y3, Y7

#define ROW2(k) \
	VBROADCASTSS (4*k)(AX)(R8*2), Y2 \
	VFMADD231PS  Y0, Y2, Y8          \
	VFMADD231PS  Y1, Y2, Y9

#define ROW3(k) \
	VBROADCASTSS (4*k)(R9), Y3  \
	VFMADD231PS  Y0, Y3, Y10    \
	VFMADD231PS  Y1, Y3, Y11

#define ROW4(k) \
	VBROADCASTSS (4*k)(R9)(R8*1), Y2 \
	VFMADD231PS  Y0, Y2, Y12         \
	VFMADD231PS  Y1, Y2, Y13

#define ROW5(k) \
	VBROADCASTSS (4*k)(R9)(R8*2), Y3 \
	VFMADD231PS  Y0, Y3, Y14         \
	VFMADD231PS  Y1, Y3, Y15

#define STEP3(k) PANEL(k) ROW0(k) ROW1(k) ROW2(k)
#define STEP4(k) STEP3(k) ROW3(k)
#define STEP5(k) STEP4(k) ROW4(k)
#define STEP6(k) STEP5(k) ROW5(k)

#define NEXT(n) \
	ADDQ $(4*n), AX  \
	ADDQ $(4*n), R9  \
	ADDQ $(64*n), BX \
	SUBQ $n, CX

// One row has only two sums, too few to keep the multipliers busy: four
// successive k go to four pairs of registers.
#define ONE(k, lo, hi) \
	VBROADCASTSS (4*k)(AX), Y2            \
	VFMADD231PS  (64*k)(BX), Y2, lo       \
	VFMADD231PS  (64*k+32)(BX), Y2, hi

// Two rows: two successive k go to two sets of four.
#define TWO(k, lo0, hi0, lo1, hi1) \
	PANEL(k)                          \
	VBROADCASTSS (4*k)(AX), Y2        \
	VBROADCASTSS (4*k)(AX)(R8*1), Y3  \
	VFMADD231PS  Y0, Y2, lo0          \
	VFMADD231PS  Y1, Y2, hi0          \
	VFMADD231PS  Y0, Y3, lo1          \
	VFMADD231PS  Y1, Y3, hi1

// Y0 is Alpha, Y1 Beta, SI walks C and R10 walks Add; DX counts rows down.
#define PUT(lo, hi) \
	VMULPS  Y0, lo, lo   \
	VMULPS  Y0, hi, hi   \
	VMOVUPS lo, (SI)     \
	VMOVUPS hi, 32(SI)   \
	ADDQ    R11, SI      \
	DECQ    DX           \
	JEQ     done

#define PUTADD(lo, hi) \
	VMULPS      Y0, lo, lo        \
	VMULPS      Y0, hi, hi        \
	VFMADD231PS (R10), Y1, lo     \
	VFMADD231PS 32(R10), Y1, hi   \
	VMOVUPS     lo, (SI)          \
	VMOVUPS     hi, 32(SI)        \
	ADDQ        R12, R10          \
	ADDQ        R11, SI           \
	DECQ        DX                \
	JEQ         done

// func tileAVX2(t *Tile)
TEXT ·tileAVX2(SB), NOSPLIT, $0-8
	MOVQ t+0(FP), DI
	MOVQ Tile_A(DI), AX
	MOVQ Tile_LDA(DI), R8
	SHLQ $2, R8
	LEAQ (R8)(R8*2), R9
	ADDQ AX, R9
	MOVQ Tile_B(DI), BX
	MOVQ Tile_K(DI), CX
	MOVQ Tile_Rows(DI), DX

	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11
	VXORPS Y12, Y12, Y12
	VXORPS Y13, Y13, Y13
	VXORPS Y14, Y14, Y14
	VXORPS Y15, Y15, Y15

	CMPQ DX, $6
	JEQ  six
	CMPQ DX, $1
	JEQ  one
	CMPQ DX, $2
	JEQ  two
	CMPQ DX, $3
	JEQ  three
	CMPQ DX, $4
	JEQ  four
	CMPQ DX, $5
	JEQ  five
	JMP  done

six:
	SUBQ $4, CX
	JLT  sixTail

sixLoop:
	STEP6(0)
	STEP6(1)
	STEP6(2)
	STEP6(3)
	NEXT(4)
	JGE sixLoop

sixTail:
	ADDQ $4, CX
	JEQ  store

sixOne:
	STEP6(0)
	NEXT(1)
	JNE sixOne
	JMP store

five:
	SUBQ $2, CX
	JLT  fiveTail

fiveLoop:
	STEP5(0)
	STEP5(1)
	NEXT(2)
	JGE fiveLoop

fiveTail:
	ADDQ $2, CX
	JEQ  store
	STEP5(0)
	JMP  store

four:
	SUBQ $2, CX
	JLT  fourTail

fourLoop:
	STEP4(0)
	STEP4(1)
	NEXT(2)
	JGE fourLoop

fourTail:
	ADDQ $2, CX
	JEQ  store
	STEP4(0)
	JMP  store

three:
	SUBQ $2, CX
	JLT  threeTail

threeLoop:
	STEP3(0)
	STEP3(1)
	NEXT(2)
	JGE threeLoop

threeTail:
	ADDQ $2, CX
	JEQ  store
	STEP3(0)
	JMP  store

two:
	SUBQ $2, CX
	JLT  twoTail

twoLoop:
	TWO(0, Y4, Y5, Y6, Y7)
	TWO(1, Y8, Y9, Y10, Y11)
	NEXT(2)
	JGE twoLoop

twoTail:
	ADDQ $2, CX
	JEQ  twoSum
	TWO(0, Y4, Y5, Y6, Y7)

twoSum:
	VADDPS Y8, Y4, Y4
	VADDPS Y9, Y5, Y5
	VADDPS Y10, Y6, Y6
	VADDPS Y11, Y7, Y7
	JMP    store

one:
	SUBQ $4, CX
	JLT  oneTail

oneLoop:
	ONE(0, Y4, Y5)
	ONE(1, Y6, Y7)
	ONE(2, Y8, Y9)
	ONE(3, Y10, Y11)
	NEXT(4)
	JGE oneLoop

oneTail:
	ADDQ $4, CX
	JEQ  oneSum

oneOne:
	ONE(0, Y4, Y5)
	NEXT(1)
	JNE oneOne

oneSum:
	VADDPS Y6, Y4, Y4
	VADDPS Y7, Y5, Y5
	VADDPS Y10, Y8, Y8
	VADDPS Y11, Y9, Y9
	VADDPS Y8, Y4, Y4
	VADDPS Y9, Y5, Y5

store:
	VBROADCASTSS Tile_Alpha(DI), Y0
	VBROADCASTSS Tile_Beta(DI), Y1
	MOVQ         Tile_C(DI), SI
	MOVQ         Tile_LDC(DI), R11
	SHLQ         $2, R11
	MOVQ         Tile_Add(DI), R10
	TESTQ        R10, R10
	JNE          storeAdd
	PUT(Y4, Y5)
	PUT(Y6, Y7)
	PUT(Y8, Y9)
	PUT(Y10, Y11)
	PUT(Y12, Y13)
	PUT(Y14, Y15)

storeAdd:
	MOVQ Tile_LDAdd(DI), R12
	SHLQ $2, R12
	PUTADD(Y4, Y5)
	PUTADD(Y6, Y7)
	PUTADD(Y8, Y9)
	PUTADD(Y10, Y11)
	PUTADD(Y12, Y13)
	PUTADD(Y14, Y15)

done:
	VZEROUPPER
	RET
