//go:build !noasm

#include "go_asm.h"
#include "textflag.h"

// Elementwise functions: the formulas of math32.go, eight lanes at a time. The
// last lanes are computed under a mask, by the same instructions, so that a
// result does not depend on an element's position.

// CONST8 defines a constant in all eight lanes, usable as a memory operand.
#define CONST8(name, value) \
	DATA  name<>+0(SB)/4, value   \
	DATA  name<>+4(SB)/4, value   \
	DATA  name<>+8(SB)/4, value   \
	DATA  name<>+12(SB)/4, value  \
	DATA  name<>+16(SB)/4, value  \
	DATA  name<>+20(SB)/4, value  \
	DATA  name<>+24(SB)/4, value  \
	DATA  name<>+28(SB)/4, value  \
	GLOBL name<>(SB), RODATA|NOPTR, $32

CONST8(one, $1.0)
CONST8(half, $0.5)
CONST8(minusHalf, $-0.5)
CONST8(minusTwo, $-2.0)
CONST8(ten, $10.0)
CONST8(signBit, $0x80000000)
CONST8(absBits, $0x7fffffff)
CONST8(bias, $127)
CONST8(quietBit, $0x40)
CONST8(roundHalf, $0x7fff)
CONST8(lowBit, $1)
CONST8(negInf, $0xff800000)

// e^x. Clamping to these bounds leaves overflow and underflow to the scaling.
CONST8(expHi, $89.0)
CONST8(expLo, $-104.0)
CONST8(log2e, $1.44269504088896340736)
CONST8(ln2Hi, $0.693359375)
CONST8(ln2Lo, $-2.12194440054690583e-4)
CONST8(exp0, $0.500000009571)
CONST8(exp1, $0.16666518307)
CONST8(exp2, $0.0416662041248)
CONST8(exp3, $0.00836895342474)
CONST8(exp4, $0.00139506030429)

CONST8(tanhSmall, $0.625)
CONST8(tanh0, $-0.333333296138)
CONST8(tanh1, $0.133331579005)
CONST8(tanh2, $-0.0539405635591)
CONST8(tanh3, $0.0216663485602)
CONST8(tanh4, $-0.00809197161333)
CONST8(tanh5, $0.00206466762935)

CONST8(erf0, $1.12837916591)
CONST8(erf1, $-0.376126271361)
CONST8(erf2, $0.112836001782)
CONST8(erf3, $-0.0268544446751)
CONST8(erf4, $0.00518953550108)
CONST8(erf5, $-0.000802084273305)
CONST8(erf6, $7.88912443172e-5)

CONST8(erfc0, $0.282086417892)
CONST8(erfc1, $0.282375308098)
CONST8(erfc2, $0.24310376513)
CONST8(erfc3, $0.20268686416)
CONST8(erfc4, $-0.0266256683728)
CONST8(erfc5, $0.278067188815)
CONST8(erfc6, $-0.487199947899)
CONST8(erfc7, $0.284574999345)
CONST8(erfc8, $-0.0590689700504)

CONST8(sqrtHalf, $0.70710678118654752440)
CONST8(geluA, $1.59576912160573071176)
CONST8(geluB, $0.07135481282059847)

DATA vmask<>+0(SB)/8, $-1
DATA vmask<>+8(SB)/8, $-1
DATA vmask<>+16(SB)/8, $-1
DATA vmask<>+24(SB)/8, $-1
DATA vmask<>+32(SB)/8, $0
DATA vmask<>+40(SB)/8, $0
DATA vmask<>+48(SB)/8, $0
DATA vmask<>+56(SB)/8, $0
GLOBL vmask<>(SB), RODATA|NOPTR, $64

// MASK sets Y15 to a mask of CX lanes, 0 < CX < 8. It clobbers CX and AX.
#define MASK \
	LEAQ    vmask<>+32(SB), AX \
	SHLQ    $2, CX             \
	SUBQ    CX, AX             \
	VMOVDQU (AX), Y15

// EXP is Y0 = e^Y0, clobbering Y1, Y2, Y3. The operand order of the clamps
// lets a NaN through.
#define EXP \
	VMOVUPS      expHi<>(SB), Y1     \
	VMINPS       Y0, Y1, Y0          \
	VMOVUPS      expLo<>(SB), Y1     \
	VMAXPS       Y0, Y1, Y0          \
	VMULPS       log2e<>(SB), Y0, Y1 \
	VROUNDPS     $8, Y1, Y1          \
	VFNMADD231PS ln2Hi<>(SB), Y1, Y0 \
	VFNMADD231PS ln2Lo<>(SB), Y1, Y0 \
	VCVTPS2DQ    Y1, Y1              \
	VMOVUPS      exp4<>(SB), Y2      \
	VFMADD213PS  exp3<>(SB), Y0, Y2  \
	VFMADD213PS  exp2<>(SB), Y0, Y2  \
	VFMADD213PS  exp1<>(SB), Y0, Y2  \
	VFMADD213PS  exp0<>(SB), Y0, Y2  \
	VMULPS       Y0, Y0, Y3          \
	VFMADD231PS  Y2, Y3, Y0          \
	VADDPS       one<>(SB), Y0, Y0   \
	VPSRAD       $1, Y1, Y2          \
	VPSUBD       Y2, Y1, Y1          \
	VPADDD       bias<>(SB), Y2, Y2  \
	VPADDD       bias<>(SB), Y1, Y1  \
	VPSLLD       $23, Y2, Y2         \
	VPSLLD       $23, Y1, Y1         \
	VMULPS       Y2, Y0, Y0          \
	VMULPS       Y1, Y0, Y0

// SIGMOID is Y0 = 1/(1+e^-Y0), clobbering Y1 to Y4: e = e^-|x| never overflows,
// and the numerator is 1 or e by the sign of x.
#define SIGMOID \
	VMOVAPS   Y0, Y4                 \
	VORPS     signBit<>(SB), Y0, Y0  \
	EXP                              \
	VMOVUPS   one<>(SB), Y1          \
	VADDPS    Y0, Y1, Y2             \
	VBLENDVPS Y4, Y0, Y1, Y0         \
	VDIVPS    Y2, Y0, Y0

#define SILU \
	VMOVAPS Y0, Y5     \
	SIGMOID            \
	VMULPS  Y5, Y0, Y0

#define GELUTANH \
	VMOVAPS     Y0, Y5              \
	VMULPS      Y0, Y0, Y1          \
	VMOVUPS     geluB<>(SB), Y2     \
	VFMADD213PS geluA<>(SB), Y1, Y2 \
	VMULPS      Y2, Y0, Y0          \
	SIGMOID                         \
	VMULPS      Y5, Y0, Y0

// TANH clobbers Y1 to Y5.
#define TANH \
	VMOVAPS     Y0, Y4                     \
	VANDPS      absBits<>(SB), Y0, Y5      \
	VMULPS      minusTwo<>(SB), Y5, Y0     \
	EXP                                    \
	VMOVUPS     one<>(SB), Y1              \
	VSUBPS      Y0, Y1, Y2                 \
	VADDPS      Y0, Y1, Y3                 \
	VDIVPS      Y3, Y2, Y0                 \
	VANDPS      signBit<>(SB), Y4, Y1      \
	VORPS       Y1, Y0, Y0                 \
	VMULPS      Y4, Y4, Y1                 \
	VMOVUPS     tanh5<>(SB), Y2            \
	VFMADD213PS tanh4<>(SB), Y1, Y2        \
	VFMADD213PS tanh3<>(SB), Y1, Y2        \
	VFMADD213PS tanh2<>(SB), Y1, Y2        \
	VFMADD213PS tanh1<>(SB), Y1, Y2        \
	VFMADD213PS tanh0<>(SB), Y1, Y2        \
	VMULPS      Y4, Y1, Y1                 \
	VFMADD213PS Y4, Y1, Y2                 \
	VCMPPS      $2, tanhSmall<>(SB), Y5, Y5 \
	VBLENDVPS   Y5, Y2, Y0, Y0

// ERFC is Y0 = Y0 * erfc(Y6) * e^(Y6^2), for Y6 >= 0, clobbering Y1, Y2.
#define ERFC \
	VMOVUPS     one<>(SB), Y1           \
	VMOVAPS     Y1, Y2                  \
	VFMADD231PS half<>(SB), Y6, Y2      \
	VDIVPS      Y2, Y1, Y1              \
	VMOVUPS     erfc8<>(SB), Y2         \
	VFMADD213PS erfc7<>(SB), Y1, Y2     \
	VFMADD213PS erfc6<>(SB), Y1, Y2     \
	VFMADD213PS erfc5<>(SB), Y1, Y2     \
	VFMADD213PS erfc4<>(SB), Y1, Y2     \
	VFMADD213PS erfc3<>(SB), Y1, Y2     \
	VFMADD213PS erfc2<>(SB), Y1, Y2     \
	VFMADD213PS erfc1<>(SB), Y1, Y2     \
	VFMADD213PS erfc0<>(SB), Y1, Y2     \
	VMULPS      Y1, Y0, Y0              \
	VMULPS      Y2, Y0, Y0

// ERF clobbers Y1 to Y7.
#define ERF \
	VMOVAPS     Y0, Y4                   \
	VANDPS      absBits<>(SB), Y0, Y5    \
	VMOVUPS     ten<>(SB), Y1            \
	VMINPS      Y5, Y1, Y6               \
	VMULPS      Y6, Y6, Y0               \
	VXORPS      signBit<>(SB), Y0, Y0    \
	EXP                                  \
	ERFC                                 \
	VMOVUPS     one<>(SB), Y1            \
	VSUBPS      Y0, Y1, Y0               \
	VANDPS      signBit<>(SB), Y4, Y2    \
	VORPS       Y2, Y0, Y0               \
	VCMPPS      $2, Y1, Y5, Y5           \
	VMULPS      Y4, Y4, Y1               \
	VMOVUPS     erf6<>(SB), Y2           \
	VFMADD213PS erf5<>(SB), Y1, Y2       \
	VFMADD213PS erf4<>(SB), Y1, Y2       \
	VFMADD213PS erf3<>(SB), Y1, Y2       \
	VFMADD213PS erf2<>(SB), Y1, Y2       \
	VFMADD213PS erf1<>(SB), Y1, Y2       \
	VFMADD213PS erf0<>(SB), Y1, Y2       \
	VMULPS      Y4, Y2, Y2               \
	VBLENDVPS   Y5, Y2, Y0, Y0

// GELU clobbers Y1 to Y6: Phi(x) is q or 1-q with q = erfc(|x|/sqrt(2))/2.
#define GELU \
	VMOVAPS   Y0, Y4                    \
	VANDPS    absBits<>(SB), Y0, Y6     \
	VMULPS    sqrtHalf<>(SB), Y6, Y6    \
	VMULPS    Y0, Y0, Y0                \
	VMULPS    minusHalf<>(SB), Y0, Y0   \
	EXP                                 \
	ERFC                                \
	VMULPS    half<>(SB), Y0, Y0        \
	VMOVUPS   one<>(SB), Y1             \
	VSUBPS    Y0, Y1, Y1                \
	VBLENDVPS Y4, Y0, Y1, Y0            \
	VMULPS    Y4, Y0, Y0

// UNARY is the body of func(dst, src *float32, n int).
#define UNARY(F) \
	MOVQ       dst+0(FP), DI    \
	MOVQ       src+8(FP), SI    \
	MOVQ       n+16(FP), CX     \
	SUBQ       $8, CX           \
	JLT        tail             \
loop:                           \
	VMOVUPS    (SI), Y0         \
	F                           \
	VMOVUPS    Y0, (DI)         \
	ADDQ       $32, SI          \
	ADDQ       $32, DI          \
	SUBQ       $8, CX           \
	JGE        loop             \
tail:                           \
	ADDQ       $8, CX           \
	JEQ        done             \
	MASK                        \
	VMASKMOVPS (SI), Y15, Y0    \
	F                           \
	VMASKMOVPS Y0, Y15, (DI)    \
done:                           \
	VZEROUPPER                  \
	RET

// func expAVX2(dst, src *float32, n int)
TEXT ·expAVX2(SB), NOSPLIT, $0-24
	UNARY(EXP)

// func sigmoidAVX2(dst, src *float32, n int)
TEXT ·sigmoidAVX2(SB), NOSPLIT, $0-24
	UNARY(SIGMOID)

// func tanhAVX2(dst, src *float32, n int)
TEXT ·tanhAVX2(SB), NOSPLIT, $0-24
	UNARY(TANH)

// func erfAVX2(dst, src *float32, n int)
TEXT ·erfAVX2(SB), NOSPLIT, $0-24
	UNARY(ERF)

// func siluAVX2(dst, src *float32, n int)
TEXT ·siluAVX2(SB), NOSPLIT, $0-24
	UNARY(SILU)

// func geluAVX2(dst, src *float32, n int)
TEXT ·geluAVX2(SB), NOSPLIT, $0-24
	UNARY(GELU)

// func geluTanhAVX2(dst, src *float32, n int)
TEXT ·geluTanhAVX2(SB), NOSPLIT, $0-24
	UNARY(GELUTANH)

// HSUM adds the lanes of Y0 into X0, clobbering Y1.
#define HSUM \
	VEXTRACTF128 $1, Y0, X1  \
	VADDPS       X1, X0, X0  \
	VHADDPS      X0, X0, X0  \
	VHADDPS      X0, X0, X0

// func expSumAVX2(dst, src *float32, n int, shift float32) float32
TEXT ·expSumAVX2(SB), NOSPLIT, $0-36
	MOVQ         dst+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         n+16(FP), CX
	VBROADCASTSS shift+24(FP), Y14
	VXORPS       Y13, Y13, Y13
	SUBQ         $8, CX
	JLT          tail

loop:
	VMOVUPS (SI), Y0
	VSUBPS  Y14, Y0, Y0
	EXP
	VMOVUPS Y0, (DI)
	VADDPS  Y0, Y13, Y13
	ADDQ    $32, SI
	ADDQ    $32, DI
	SUBQ    $8, CX
	JGE     loop

tail:
	ADDQ       $8, CX
	JEQ        done
	MASK
	VMASKMOVPS (SI), Y15, Y0
	VSUBPS     Y14, Y0, Y0
	EXP
	VMASKMOVPS Y0, Y15, (DI)
	VANDPS     Y15, Y0, Y0
	VADDPS     Y0, Y13, Y13

done:
	VMOVAPS Y13, Y0
	HSUM
	VMOVSS  X0, ret+32(FP)
	VZEROUPPER
	RET

// func maxAVX2(x *float32, n int) float32
//
// Y0 and Y2 are maxima, Y1 collects which lanes have met a NaN.
TEXT ·maxAVX2(SB), NOSPLIT, $0-20
	MOVQ    x+0(FP), SI
	MOVQ    n+8(FP), CX
	VMOVUPS negInf<>(SB), Y0
	VMOVAPS Y0, Y2
	VXORPS  Y1, Y1, Y1
	SUBQ    $16, CX
	JLT     eight

loop:
	VMOVUPS (SI), Y3
	VMOVUPS 32(SI), Y4
	VCMPPS  $3, Y3, Y4, Y5
	VORPS   Y5, Y1, Y1
	VMAXPS  Y3, Y0, Y0
	VMAXPS  Y4, Y2, Y2
	ADDQ    $64, SI
	SUBQ    $16, CX
	JGE     loop

eight:
	ADDQ    $16, CX
	CMPQ    CX, $8
	JLT     tail
	VMOVUPS (SI), Y3
	VCMPPS  $3, Y3, Y3, Y5
	VORPS   Y5, Y1, Y1
	VMAXPS  Y3, Y0, Y0
	ADDQ    $32, SI
	SUBQ    $8, CX

tail:
	TESTQ      CX, CX
	JEQ        done
	MASK
	VMASKMOVPS (SI), Y15, Y3
	VCMPPS     $3, Y3, Y3, Y5
	VORPS      Y5, Y1, Y1
	VMOVUPS    negInf<>(SB), Y4
	VBLENDVPS  Y15, Y3, Y4, Y3
	VMAXPS     Y3, Y0, Y0

done:
	VMAXPS       Y2, Y0, Y0
	VEXTRACTF128 $1, Y0, X2
	VMAXPS       X2, X0, X0
	VPERMILPS    $0x4e, X0, X2
	VMAXPS       X2, X0, X0
	VPERMILPS    $0xb1, X0, X2
	VMAXPS       X2, X0, X0
	VMOVMSKPS    Y1, AX
	TESTQ        AX, AX
	JEQ          number
	VPCMPEQD     X0, X0, X0 // all ones is a NaN

number:
	VMOVSS X0, ret+16(FP)
	VZEROUPPER
	RET

// func sumAVX2(x *float32, n int) float32
TEXT ·sumAVX2(SB), NOSPLIT, $0-20
	MOVQ   x+0(FP), SI
	MOVQ   n+8(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	SUBQ   $32, CX
	JLT    eights

loop:
	VADDPS (SI), Y0, Y0
	VADDPS 32(SI), Y1, Y1
	VADDPS 64(SI), Y2, Y2
	VADDPS 96(SI), Y3, Y3
	ADDQ   $128, SI
	SUBQ   $32, CX
	JGE    loop

eights:
	ADDQ $32, CX
	SUBQ $8, CX
	JLT  tail

eight:
	VADDPS (SI), Y0, Y0
	ADDQ   $32, SI
	SUBQ   $8, CX
	JGE    eight

tail:
	ADDQ       $8, CX
	JEQ        done
	MASK
	VMASKMOVPS (SI), Y15, Y4
	VADDPS     Y4, Y1, Y1

done:
	VADDPS Y1, Y0, Y0
	VADDPS Y3, Y2, Y2
	VADDPS Y2, Y0, Y0
	HSUM
	VMOVSS X0, ret+16(FP)
	VZEROUPPER
	RET

// func sumSqAVX2(x *float32, n int, mean float32) float32
TEXT ·sumSqAVX2(SB), NOSPLIT, $0-28
	MOVQ         x+0(FP), SI
	MOVQ         n+8(FP), CX
	VBROADCASTSS mean+16(FP), Y14
	VXORPS       Y0, Y0, Y0
	VXORPS       Y1, Y1, Y1
	VXORPS       Y2, Y2, Y2
	VXORPS       Y3, Y3, Y3
	SUBQ         $32, CX
	JLT          eights

loop:
	VMOVUPS     (SI), Y4
	VMOVUPS     32(SI), Y5
	VMOVUPS     64(SI), Y6
	VMOVUPS     96(SI), Y7
	VSUBPS      Y14, Y4, Y4
	VSUBPS      Y14, Y5, Y5
	VSUBPS      Y14, Y6, Y6
	VSUBPS      Y14, Y7, Y7
	VFMADD231PS Y4, Y4, Y0
	VFMADD231PS Y5, Y5, Y1
	VFMADD231PS Y6, Y6, Y2
	VFMADD231PS Y7, Y7, Y3
	ADDQ        $128, SI
	SUBQ        $32, CX
	JGE         loop

eights:
	ADDQ $32, CX
	SUBQ $8, CX
	JLT  tail

eight:
	VMOVUPS     (SI), Y4
	VSUBPS      Y14, Y4, Y4
	VFMADD231PS Y4, Y4, Y0
	ADDQ        $32, SI
	SUBQ        $8, CX
	JGE         eight

tail:
	ADDQ        $8, CX
	JEQ         done
	MASK
	VMASKMOVPS  (SI), Y15, Y4
	VSUBPS      Y14, Y4, Y4
	VANDPS      Y15, Y4, Y4
	VFMADD231PS Y4, Y4, Y1

done:
	VADDPS Y1, Y0, Y0
	VADDPS Y3, Y2, Y2
	VADDPS Y2, Y0, Y0
	HSUM
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func scaleAVX2(p *scaleArgs)
//
// An absent weight or bias is a constant that is not advanced.
TEXT ·scaleAVX2(SB), NOSPLIT, $0-8
	MOVQ         p+0(FP), DX
	MOVQ         scaleArgs_dst(DX), DI
	MOVQ         scaleArgs_src(DX), SI
	MOVQ         scaleArgs_n(DX), CX
	VBROADCASTSS scaleArgs_shift(DX), Y14
	VBROADCASTSS scaleArgs_scale(DX), Y13
	MOVQ         $32, R10
	MOVQ         $32, R11
	MOVQ         scaleArgs_w(DX), R8
	TESTQ        R8, R8
	JNE          weighted
	LEAQ         one<>(SB), R8
	XORQ         R10, R10

weighted:
	MOVQ  scaleArgs_b(DX), R9
	TESTQ R9, R9
	JNE   biased
	LEAQ  vmask<>+32(SB), R9 // zeros
	XORQ  R11, R11

biased:
	SUBQ $8, CX
	JLT  tail

loop:
	VMOVUPS     (SI), Y0
	VMOVUPS     (R8), Y1
	VSUBPS      Y14, Y0, Y0
	VMULPS      Y13, Y0, Y0
	VFMADD213PS (R9), Y1, Y0
	VMOVUPS     Y0, (DI)
	ADDQ        $32, SI
	ADDQ        $32, DI
	ADDQ        R10, R8
	ADDQ        R11, R9
	SUBQ        $8, CX
	JGE         loop

tail:
	ADDQ        $8, CX
	JEQ         done
	MASK
	VMASKMOVPS  (SI), Y15, Y0
	VMASKMOVPS  (R8), Y15, Y1
	VMASKMOVPS  (R9), Y15, Y2
	VSUBPS      Y14, Y0, Y0
	VMULPS      Y13, Y0, Y0
	VFMADD213PS Y2, Y1, Y0
	VMASKMOVPS  Y0, Y15, (DI)

done:
	VZEROUPPER
	RET

// The four conversions take n, a multiple of 8.

// func decodeF16AVX2(dst *float32, src *uint16, n int)
TEXT ·decodeF16AVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SUBQ $8, CX
	JLT  done

loop:
	VCVTPH2PS (SI), Y0
	VMOVUPS   Y0, (DI)
	ADDQ      $16, SI
	ADDQ      $32, DI
	SUBQ      $8, CX
	JGE       loop

done:
	VZEROUPPER
	RET

// func encodeF16AVX2(dst *uint16, src *float32, n int)
TEXT ·encodeF16AVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SUBQ $8, CX
	JLT  done

loop:
	VMOVUPS   (SI), Y0
	VCVTPS2PH $0, Y0, (DI)
	ADDQ      $32, SI
	ADDQ      $16, DI
	SUBQ      $8, CX
	JGE       loop

done:
	VZEROUPPER
	RET

// func decodeBF16AVX2(dst *float32, src *uint16, n int)
TEXT ·decodeBF16AVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SUBQ $8, CX
	JLT  done

loop:
	VPMOVZXWD (SI), Y0
	VPSLLD    $16, Y0, Y0
	VMOVUPS   Y0, (DI)
	ADDQ      $16, SI
	ADDQ      $32, DI
	SUBQ      $8, CX
	JGE       loop

done:
	VZEROUPPER
	RET

// func encodeBF16AVX2(dst *uint16, src *float32, n int)
TEXT ·encodeBF16AVX2(SB), NOSPLIT, $0-24
	MOVQ    dst+0(FP), DI
	MOVQ    src+8(FP), SI
	MOVQ    n+16(FP), CX
	VMOVUPS lowBit<>(SB), Y10
	VMOVUPS roundHalf<>(SB), Y11
	VMOVUPS quietBit<>(SB), Y12
	SUBQ    $8, CX
	JLT     done

loop:
	VMOVUPS   (SI), Y0
	VCMPPS    $3, Y0, Y0, Y3
	VPSRLD    $16, Y0, Y1
	VPAND     Y10, Y1, Y2
	VPOR      Y12, Y1, Y1   // what a NaN becomes
	VPADDD    Y11, Y2, Y2
	VPADDD    Y2, Y0, Y0
	VPSRLD    $16, Y0, Y0
	VBLENDVPS Y3, Y1, Y0, Y0
	VPACKUSDW Y0, Y0, Y0
	VPERMQ    $0x08, Y0, Y0
	VMOVDQU   X0, (DI)
	ADDQ      $32, SI
	ADDQ      $16, DI
	SUBQ      $8, CX
	JGE       loop

done:
	VZEROUPPER
	RET
