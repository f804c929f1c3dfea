//go:build !noasm

#include "go_asm.h"
#include "textflag.h"

// Go's assembler has no vector FADD or FMUL: x*y is VFMLA onto zero, and x+y is
// VFMLA with ones, which round alike.

#define ZERO4(a, b, c, d) \
	VEOR a.B16, a.B16, a.B16 \
	VEOR b.B16, b.B16, b.B16 \
	VEOR c.B16, c.B16, c.B16 \
	VEOR d.B16, d.B16, d.B16

// FMA4 adds row element x times the panel's row V0 to V3.
#define FMA4(x, a, b, c, d) \
	VFMLA V0.S4, x.S4, a.S4 \
	VFMLA V1.S4, x.S4, b.S4 \
	VFMLA V2.S4, x.S4, c.S4 \
	VFMLA V3.S4, x.S4, d.S4

// PUT4 stores Alpha*sum (+ Beta*Add) of one row. V4 is Alpha, V5 Beta, R9 walks
// C, R11 walks Add if it is not nil, R8 counts rows down.
#define PUT4(a, b, c, d) \
	ZERO4(V0, V1, V2, V3)                        \
	VFMLA a.S4, V4.S4, V0.S4                     \
	VFMLA b.S4, V4.S4, V1.S4                     \
	VFMLA c.S4, V4.S4, V2.S4                     \
	VFMLA d.S4, V4.S4, V3.S4                     \
	CBZ   R11, 6(PC)                             \
	VLD1  (R11), [a.S4, b.S4, c.S4, d.S4]        \
	FMA4BETA(a, b, c, d)                         \
	VST1  [V0.S4, V1.S4, V2.S4, V3.S4], (R9)     \
	CBZ   R11, 2(PC)                             \
	ADD   R12, R11, R11                          \
	ADD   R10, R9, R9                            \
	SUBS  $1, R8, R8                             \
	BEQ   done

#define FMA4BETA(a, b, c, d) \
	VFMLA a.S4, V5.S4, V0.S4 \
	VFMLA b.S4, V5.S4, V1.S4 \
	VFMLA c.S4, V5.S4, V2.S4 \
	VFMLA d.S4, V5.S4, V3.S4

// func tileNEON(t *Tile)
//
// R1 to R6 walk the rows of A, R7 walks the panel, R13 counts k down, R8 is the
// number of rows. V8 to V31 are the sums, four registers for each row. Where
// rows are missing, the last one is computed again and not stored.
TEXT ·tileNEON(SB), NOSPLIT, $0-8
	MOVD t+0(FP), R0
	MOVD Tile_A(R0), R1
	MOVD Tile_LDA(R0), R14
	LSL  $2, R14, R14
	MOVD Tile_B(R0), R7
	MOVD Tile_K(R0), R13
	MOVD Tile_Rows(R0), R8

	ZERO4(V8, V9, V10, V11)
	ZERO4(V12, V13, V14, V15)
	ZERO4(V16, V17, V18, V19)
	ZERO4(V20, V21, V22, V23)
	ZERO4(V24, V25, V26, V27)
	ZERO4(V28, V29, V30, V31)

	CMP $1, R8
	BEQ one
	BLT done

	ADD  R14, R1, R2
	CMP  $3, R8
	CSEL LT, ZR, R14, R14
	ADD  R14, R2, R3
	CMP  $3, R8
	BLE  three
	CMP  $4, R8
	CSEL LT, ZR, R14, R14
	ADD  R14, R3, R4
	CMP  $5, R8
	CSEL LT, ZR, R14, R14
	ADD  R14, R4, R5
	CMP  $6, R8
	CSEL LT, ZR, R14, R14
	ADD  R14, R5, R6
	CBZ  R13, store

six:
	VLD1.P  64(R7), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1R.P 4(R1), [V4.S4]
	VLD1R.P 4(R2), [V5.S4]
	VLD1R.P 4(R3), [V6.S4]
	VLD1R.P 4(R4), [V7.S4]
	FMA4(V4, V8, V9, V10, V11)
	FMA4(V5, V12, V13, V14, V15)
	VLD1R.P 4(R5), [V4.S4]
	VLD1R.P 4(R6), [V5.S4]
	FMA4(V6, V16, V17, V18, V19)
	FMA4(V7, V20, V21, V22, V23)
	FMA4(V4, V24, V25, V26, V27)
	FMA4(V5, V28, V29, V30, V31)
	SUBS    $1, R13, R13
	BNE     six
	B       store

three:
	CBZ R13, store

threeLoop:
	VLD1.P  64(R7), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1R.P 4(R1), [V4.S4]
	VLD1R.P 4(R2), [V5.S4]
	VLD1R.P 4(R3), [V6.S4]
	FMA4(V4, V8, V9, V10, V11)
	FMA4(V5, V12, V13, V14, V15)
	FMA4(V6, V16, V17, V18, V19)
	SUBS    $1, R13, R13
	BNE     threeLoop
	B       store

	// One row: four successive k have sums of their own, to have enough
	// independent multiply-adds.
one:
	SUBS $4, R13, R13
	BLT  oneTail

oneLoop:
	VLD1.P  64(R7), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1R.P 4(R1), [V4.S4]
	FMA4(V4, V8, V9, V10, V11)
	VLD1.P  64(R7), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1R.P 4(R1), [V4.S4]
	FMA4(V4, V12, V13, V14, V15)
	VLD1.P  64(R7), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1R.P 4(R1), [V4.S4]
	FMA4(V4, V16, V17, V18, V19)
	VLD1.P  64(R7), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1R.P 4(R1), [V4.S4]
	FMA4(V4, V20, V21, V22, V23)
	SUBS    $4, R13, R13
	BGE     oneLoop

oneTail:
	ADDS $4, R13, R13
	BEQ  oneSum

oneOne:
	VLD1.P  64(R7), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1R.P 4(R1), [V4.S4]
	FMA4(V4, V8, V9, V10, V11)
	SUBS    $1, R13, R13
	BNE     oneOne

oneSum:
	FMOVS $1.0, F4
	VDUP  V4.S[0], V4.S4
	VFMLA V12.S4, V4.S4, V8.S4
	VFMLA V13.S4, V4.S4, V9.S4
	VFMLA V14.S4, V4.S4, V10.S4
	VFMLA V15.S4, V4.S4, V11.S4
	VFMLA V20.S4, V4.S4, V16.S4
	VFMLA V21.S4, V4.S4, V17.S4
	VFMLA V22.S4, V4.S4, V18.S4
	VFMLA V23.S4, V4.S4, V19.S4
	VFMLA V16.S4, V4.S4, V8.S4
	VFMLA V17.S4, V4.S4, V9.S4
	VFMLA V18.S4, V4.S4, V10.S4
	VFMLA V19.S4, V4.S4, V11.S4

store:
	ADD   $Tile_Alpha, R0, R1
	VLD1R (R1), [V4.S4]
	ADD   $Tile_Beta, R0, R1
	VLD1R (R1), [V5.S4]
	MOVD  Tile_C(R0), R9
	MOVD  Tile_LDC(R0), R10
	LSL   $2, R10, R10
	MOVD  Tile_Add(R0), R11
	MOVD  Tile_LDAdd(R0), R12
	LSL   $2, R12, R12
	PUT4(V8, V9, V10, V11)
	PUT4(V12, V13, V14, V15)
	PUT4(V16, V17, V18, V19)
	PUT4(V20, V21, V22, V23)
	PUT4(V24, V25, V26, V27)
	PUT4(V28, V29, V30, V31)

done:
	RET

// func dotNEON(r *Rows)
//
// R1 is X, R2 the current row, R3 walks Y, R4 the row distance in bytes, R5
// counts rows, R6 is D; R7 and R8 walk X and the row, R9 is what is left of D.
// V31 is ones.
TEXT ·dotNEON(SB), NOSPLIT, $0-8
	MOVD  r+0(FP), R0
	MOVD  Rows_X(R0), R1
	MOVD  Rows_M(R0), R2
	MOVD  Rows_Y(R0), R3
	MOVD  Rows_Stride(R0), R4
	LSL   $2, R4, R4
	MOVD  Rows_N(R0), R5
	MOVD  Rows_D(R0), R6
	FMOVS $1.0, F31
	VDUP  V31.S[0], V31.S4
	CMP   $0, R5
	BLE   done

row:
	ZERO4(V0, V1, V2, V3)
	MOVD R1, R7
	MOVD R2, R8
	SUBS $16, R6, R9
	BLT  fours

wide:
	VLD1.P 64(R7), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R8), [V16.S4, V17.S4, V18.S4, V19.S4]
	VFMLA  V4.S4, V16.S4, V0.S4
	VFMLA  V5.S4, V17.S4, V1.S4
	VFMLA  V6.S4, V18.S4, V2.S4
	VFMLA  V7.S4, V19.S4, V3.S4
	SUBS   $16, R9, R9
	BGE    wide

fours:
	ADD  $16, R9, R9
	SUBS $4, R9, R9
	BLT  sum

four:
	VLD1.P 16(R7), [V4.S4]
	VLD1.P 16(R8), [V16.S4]
	VFMLA  V4.S4, V16.S4, V0.S4
	SUBS   $4, R9, R9
	BGE    four

sum:
	VFMLA V1.S4, V31.S4, V0.S4
	VFMLA V3.S4, V31.S4, V2.S4
	VFMLA V2.S4, V31.S4, V0.S4
	VEXT  $8, V0.B16, V0.B16, V1.B16
	VFMLA V1.S4, V31.S4, V0.S4
	VEXT  $4, V0.B16, V0.B16, V1.B16
	VFMLA V1.S4, V31.S4, V0.S4
	ADDS  $4, R9, R9
	BEQ   next

single:
	FMOVS.P 4(R7), F4
	FMOVS.P 4(R8), F5
	FMADDS  F4, F0, F5, F0
	SUBS    $1, R9, R9
	BNE     single

next:
	FMOVS.P F0, 4(R3)
	ADD     R4, R2, R2
	SUBS    $1, R5, R5
	BNE     row

done:
	RET

// func axpyNEON(r *Rows)
//
// Blocks of 32 columns, then 4, then 1, each held in registers over all rows.
// R1 is X, R2 the block in row 0, R3 the block in Y, R4 the row distance in
// bytes, R5 is N, R6 what is left of D; R7 walks X, R8 the rows, R9 counts them.
TEXT ·axpyNEON(SB), NOSPLIT, $0-8
	MOVD r+0(FP), R0
	MOVD Rows_X(R0), R1
	MOVD Rows_M(R0), R2
	MOVD Rows_Y(R0), R3
	MOVD Rows_Stride(R0), R4
	LSL  $2, R4, R4
	MOVD Rows_N(R0), R5
	MOVD Rows_D(R0), R6
	CMP  $0, R5
	BLE  done
	SUBS $32, R6, R6
	BLT  fours

wide:
	ADD  $64, R3, R10
	VLD1 (R3), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1 (R10), [V4.S4, V5.S4, V6.S4, V7.S4]
	MOVD R1, R7
	MOVD R2, R8
	MOVD R5, R9

wideRow:
	VLD1R.P 4(R7), [V24.S4]
	ADD     $64, R8, R11
	VLD1    (R8), [V16.S4, V17.S4, V18.S4, V19.S4]
	VLD1    (R11), [V20.S4, V21.S4, V22.S4, V23.S4]
	VFMLA   V16.S4, V24.S4, V0.S4
	VFMLA   V17.S4, V24.S4, V1.S4
	VFMLA   V18.S4, V24.S4, V2.S4
	VFMLA   V19.S4, V24.S4, V3.S4
	VFMLA   V20.S4, V24.S4, V4.S4
	VFMLA   V21.S4, V24.S4, V5.S4
	VFMLA   V22.S4, V24.S4, V6.S4
	VFMLA   V23.S4, V24.S4, V7.S4
	ADD     R4, R8, R8
	SUBS    $1, R9, R9
	BNE     wideRow
	VST1    [V0.S4, V1.S4, V2.S4, V3.S4], (R3)
	VST1    [V4.S4, V5.S4, V6.S4, V7.S4], (R10)
	ADD     $128, R2, R2
	ADD     $128, R3, R3
	SUBS    $32, R6, R6
	BGE     wide

fours:
	ADD  $32, R6, R6
	SUBS $4, R6, R6
	BLT  singles

four:
	VLD1 (R3), [V0.S4]
	MOVD R1, R7
	MOVD R2, R8
	MOVD R5, R9

fourRow:
	VLD1R.P 4(R7), [V24.S4]
	VLD1    (R8), [V16.S4]
	VFMLA   V16.S4, V24.S4, V0.S4
	ADD     R4, R8, R8
	SUBS    $1, R9, R9
	BNE     fourRow
	VST1.P  [V0.S4], 16(R3)
	ADD     $16, R2, R2
	SUBS    $4, R6, R6
	BGE     four

singles:
	ADDS $4, R6, R6
	BEQ  done

single:
	FMOVS (R3), F0
	MOVD  R1, R7
	MOVD  R2, R8
	MOVD  R5, R9

singleRow:
	FMOVS.P 4(R7), F4
	FMOVS   (R8), F5
	FMADDS  F4, F0, F5, F0
	ADD     R4, R8, R8
	SUBS    $1, R9, R9
	BNE     singleRow
	FMOVS.P F0, 4(R3)
	ADD     $4, R2, R2
	SUBS    $1, R6, R6
	BNE     single

done:
	RET
