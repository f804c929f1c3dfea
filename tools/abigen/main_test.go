package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal/abi"
)

// What is committed is what the description says.
func TestFilesAreUpToDate(t *testing.T) {
	require.NoError(t, run(true))
}

func TestVerify(t *testing.T) {
	require.NoError(t, verify(abi.Describe()))
	for want, spoil := range map[string]func(*abi.Spec){
		"is there twice":      func(s *abi.Spec) { s.Structs = append(s.Structs, s.Structs[0]) },
		"comes later":         func(s *abi.Spec) { s.Structs[2], s.Structs[9] = s.Structs[9], s.Structs[2] },
		"needs padding":       func(s *abi.Spec) { s.Structs[8].Fields[1].Type = abi.U64 },
		"begin with its size": func(s *abi.Spec) { s.Structs[9].Fields[0].Name = "first" },
		"constant":            func(s *abi.Spec) { s.Enums[0].Values[1].Name = "OK" },
		"function info":       func(s *abi.Spec) { s.Funcs[1].Name = "info" },
		"function probe":      func(s *abi.Spec) { s.Funcs[0].Required = false },
		"padding behind":      func(s *abi.Spec) { s.Structs[8].Fields = s.Structs[8].Fields[:2] },
	} {
		s := abi.Describe()
		spoil(s)
		require.ErrorContains(t, verify(s), want, want)
	}
}

func TestComment(t *testing.T) {
	require.Empty(t, comment("", ""))
	require.Equal(t, "  /* short */\n", comment("  ", "short"))
	long := comment("    ", strings.Repeat("words and ", 40))
	for line := range strings.Lines(long) {
		require.LessOrEqual(t, len(line), 104)
		require.True(t, strings.HasPrefix(line, "     *") || strings.HasPrefix(line, "    /*"), line)
	}
}

func TestValueName(t *testing.T) {
	for _, tt := range []struct{ enum, value, want string }{
		{"status", "OK", "StatusOK"}, {"status", "OUT_OF_MEMORY", "StatusOutOfMemory"}, {"kind", "KIND_CPU", "KindCPU"},
		{"graph_format", "GRAPH_ONNX", "GraphFormatONNX"}, {"device_flag", "DEVICE_SERIAL", "DeviceFlagSerial"},
	} {
		require.Equal(t, tt.want, valueName(&abi.Enum{Name: tt.enum}, abi.EnumValue{Name: tt.value}))
	}
}
