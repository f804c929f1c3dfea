package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// An instruction, perhaps in a macro and behind a label; or a constant that a
// macro or DATA defines.
var (
	instruction = regexp.MustCompile(`^(\s*(?:[a-zA-Z_]\w*:\s*)?)([A-Z][A-Z0-9]+)\b(.*)$`)
	defined     = regexp.MustCompile(`^(?:CONST8\(\w+, |DATA\s.*?, )(\$[^)\s]+)`)
	number      = regexp.MustCompile(`-?(?:0x[0-9a-fA-F]+|\d+\.\d+(?:e-?\d+)?|\d+)`)
	vector      = regexp.MustCompile(`\b([YXV])(\d+)\b`)
)

// opcodes says what an instruction becomes: one with the same operands.
var opcodes = map[string]string{
	"VADDPS": "VSUBPS", "VSUBPS": "VADDPS", "VMULPS": "VADDPS", "VDIVPS": "VMULPS", "VADDSS": "VSUBSS",
	"VMAXPS": "VMINPS", "VMINPS": "VMAXPS", "VMAXSS": "VMINSS", "VMINSS": "VMAXSS",
	"VFMADD231PS": "VFNMADD231PS", "VFNMADD231PS": "VFMADD231PS", "VFMADD213PS": "VFMSUB213PS",
	"VPADDD": "VPSUBD", "VPSUBD": "VPADDD", "VPSLLD": "VPSRLD", "VPSRLD": "VPSLLD", "VPSRAD": "VPSRLD",
	"VANDPS": "VORPS", "VORPS": "VANDPS", "VXORPS": "VANDPS", "VPAND": "VPOR", "VPOR": "VPAND",
	"ADDQ": "SUBQ", "SUBQ": "ADDQ", "SHLQ": "SHRQ", "SHRQ": "SHLQ", "ANDQ": "ORQ",
	"JLT": "JLE", "JLE": "JLT", "JGE": "JGT", "JGT": "JGE", "JEQ": "JNE", "JNE": "JEQ",
	// arm64
	"ADD": "SUB", "SUB": "ADD", "SUBS": "ADDS", "BLT": "BLE", "BLE": "BLT", "BGE": "BGT", "BGT": "BGE", "BEQ": "BNE", "BNE": "BEQ",
}

// asmSites lists the sites of an assembly file: each instruction, also those
// of macros, and each constant. Registers are numbered as on amd64 and arm64.
func asmSites(src []byte) []Site {
	var out []Site
	within := ""
	offset := 0
	for i, line := range strings.SplitAfter(string(src), "\n") {
		at := offset
		offset += len(line)
		code, _, _ := strings.Cut(line, "//")
		code = strings.TrimRight(code, " \t\n")
		code = strings.TrimRight(strings.TrimSuffix(code, `\`), " \t")
		if f := strings.Fields(code); len(f) > 1 && (f[0] == "#define" || f[0] == "TEXT") {
			within, _, _ = strings.Cut(strings.TrimPrefix(f[1], "·"), "(")
			continue
		}
		var ms []Mutation
		if m := defined.FindStringSubmatchIndex(code); m != nil {
			ms = numbers(at, code, m[2], m[3])
		} else if m := instruction.FindStringSubmatchIndex(code); m != nil {
			ms = instructionMutations(at, code, m[4], m[5])
		}
		if ms != nil {
			out = append(out, Site{Line: i + 1, Func: within, Mutations: ms})
		}
	}
	return out
}

// instructionMutations are the changes of an instruction whose name is
// code[from:to].
func instructionMutations(at int, code string, from, to int) (ms []Mutation) {
	op := code[from:to]
	switch op {
	case "RET", "PCALIGN", "GLOBL", "DATA", "CONST8", "FUNCDATA", "PCDATA":
		return nil
	}
	if is, ok := opcodes[op]; ok {
		ms = append(ms, Mutation{"opcode", at + from, at + to, is})
	}
	ms = append(ms, Mutation{"instruction", at + from, at + len(code), ""})
	ms = append(ms, numbers(at, code, to, len(code))...)
	// The last operand is the destination.
	if last := strings.LastIndexByte(code, ','); last > to {
		for _, m := range vector.FindAllStringSubmatchIndex(code[to:last], -1) {
			n, _ := strconv.Atoi(code[to+m[4] : to+m[5]])
			ms = append(ms, Mutation{"register", at + to + m[4], at + to + m[5], strconv.Itoa(n ^ 1)})
		}
	}
	return ms
}

// numbers are the changes of the numbers in code[from:to]: immediates by 1,
// displacements by one float32.
func numbers(at int, code string, from, to int) (ms []Mutation) {
	for _, m := range number.FindAllStringIndex(code[from:to], -1) {
		lo, hi := from+m[0], from+m[1]
		text := code[lo:hi]
		if lo > 0 && isWord(code[lo-1]) || strings.HasPrefix(code[hi:], "(FP)") {
			continue // part of a name, or an argument's place
		}
		put := func(s string) {
			if s != text {
				ms = append(ms, Mutation{"constant", at + lo, at + hi, s})
			}
		}
		if strings.Contains(text, ".") {
			if v, err := strconv.ParseFloat(text, 64); err == nil {
				put(fmt.Sprintf("%g", v+1.25))
				put(fmt.Sprintf("%g", -v))
				put("0.0")
			}
			continue
		}
		v, err := strconv.ParseInt(text, 0, 64)
		if err != nil {
			continue
		}
		if v > 255 { // a mask of bits: the lowest ones hardly matter to a float
			put(fmt.Sprintf("%#x", v^1<<22))
			put("0")
			continue
		}
		step := int64(1)
		if immediate := lo > 0 && code[lo-1] == '$'; !immediate && strings.HasPrefix(strings.TrimLeft(code[hi:], ")"), "(") {
			step = 4
		}
		put(fmt.Sprint(v + step))
		put(fmt.Sprint(v - step))
		put("0")
	}
	return ms
}

func isWord(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}
