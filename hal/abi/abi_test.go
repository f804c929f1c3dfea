package abi

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const include = "../../drivers/plugin/include"

// compiler returns a C or C++ compiler. Without one it skips the test, unless
// HEDDLE_REQUIRE_CC=1.
func compiler(t *testing.T, names ...string) string {
	t.Helper()
	for _, n := range names {
		if path, err := exec.LookPath(n); err == nil {
			return path
		}
	}
	if os.Getenv("HEDDLE_REQUIRE_CC") == "1" {
		t.Fatalf("HEDDLE_REQUIRE_CC=1, and there is no %s", strings.Join(names, " or "))
	}
	t.Skipf("there is no %s", strings.Join(names, " or "))
	return ""
}

// Go puts every field where the description says.
func TestLayoutInGo(t *testing.T) {
	n := 0
	for _, s := range Describe().Structs {
		at := map[string]int{}
		size, _, err := s.Layout(at)
		require.NoError(t, err)
		require.EqualValues(t, size, layout[s.Name], "size of %s", s.Name)
		n++
		for _, f := range s.Fields {
			if got, ok := layout[s.Name+"."+f.Name]; ok {
				require.EqualValues(t, at[f.Name], got, "%s.%s", s.Name, f.Name)
				n++
			} else {
				require.True(t, strings.HasPrefix(f.Name, "reserved"), "%s.%s is left out", s.Name, f.Name)
			}
		}
	}
	require.Len(t, layout, n)
}

// A C compiler puts every field where Go does.
func TestLayoutInC(t *testing.T) {
	program := filepath.Join(t.TempDir(), "layout")
	out, err := exec.Command(compiler(t, "cc"), "-std=c99", "-I", include, "-o", program, "testdata/layout.c").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.Command(program).Output()
	require.NoError(t, err)
	got := map[string]uintptr{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var name string
		var n uintptr
		_, err := fmt.Sscan(lines.Text(), &name, &n)
		require.NoError(t, err)
		got[name] = n
	}
	require.Equal(t, layout, got)
}

// The header compiles without a warning, alone and as part of two files of one
// program, in the languages that it says it is.
func TestHeaderCompiles(t *testing.T) {
	for _, tt := range []struct{ std, language string }{
		{"c99", "c"}, {"c11", "c"}, {"c17", "c"}, {"gnu99", "c"}, {"c++11", "c++"}, {"c++17", "c++"},
	} {
		t.Run(tt.std, func(t *testing.T) {
			names := []string{"cc"}
			if tt.language == "c++" {
				names = []string{"c++", "g++", "clang++"}
			}
			cc := compiler(t, names...)
			dir := t.TempDir()
			use := "#include \"heddle_driver.h\"\n#include \"heddle_driver.h\"\nextern int %s; int %s;\n"
			args := []string{"-std=" + tt.std, "-x", tt.language, "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wshadow", "-O1", "-I", include, "-shared", "-fPIC", "-o", filepath.Join(dir, "both.so")}
			for _, name := range []string{"a", "b"} {
				file := filepath.Join(dir, name+".c")
				require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, use, name, name), 0o600))
				args = append(args, file)
			}
			out, err := exec.Command(cc, args...).CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}

// A compiler whose layout differs must not get far.
func TestHeaderChecksTheLayout(t *testing.T) {
	cc := compiler(t, "cc")
	for _, std := range []string{"c99", "c11"} {
		// Packing moves what follows a 32-bit field at an odd place.
		text := "#include <stdint.h>\n#define uint64_t uint32_t\n#include \"heddle_driver.h\"\n"
		cmd := exec.Command(cc, "-std="+std, "-I", include, "-fsyntax-only", "-x", "c", "-")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "layout", std)
	}
}

// What libraries were compiled with stays: a change of these is a change of
// the major version. New ones are added at the end of each list.
func TestNumbersStay(t *testing.T) {
	var got []string
	s := Describe()
	for _, f := range s.Funcs {
		got = append(got, f.Name)
	}
	require.Equal(t, strings.Fields(`info probe open close caps supports alloc free compile release run
		footprint import_memory copy fill upload download save judge load drain_logs drain_events`), got)
	for name, want := range map[string]uintptr{
		"str": 16, "buf": 24, "head": 24, "weight": 40, "option": 32, "verdict": 16, "arg": 32, "event": 32, // fixed
		"get_args.table": 32, "driver_table.info": 16, "run_args.queue": 64, "compile_args.arg_align": 88,
	} {
		require.Equal(t, want, layout[name], name)
	}
	for _, e := range s.Enums {
		for i, v := range e.Values {
			if v.Name == "REASON_UNANSWERED" {
				require.Equal(t, 255, v.N)
				continue
			}
			require.Equal(t, i+e.Values[0].N, v.N, v.Name)
		}
	}
}

func TestLayoutRefusesGaps(t *testing.T) {
	s := &Struct{Name: "s", Fields: []Field{{Name: "a", Type: U32}, {Name: "b", Type: U64}}}
	_, _, err := s.Layout(nil)
	require.ErrorContains(t, err, "s.b at 4 needs padding")
	s.Fields = []Field{{Name: "b", Type: U64}, {Name: "a", Type: U32}}
	_, _, err = s.Layout(nil)
	require.ErrorContains(t, err, "padding behind")
	require.Panics(t, func() { Of(s) })
}

func TestGoName(t *testing.T) {
	for in, want := range map[string]string{"graph_size": "GraphSize", "fd": "FD", "abi_major": "ABIMajor", "timeout_ns": "TimeoutNS", "graph_onnx": "GraphONNX", "": ""} {
		require.Equal(t, want, GoName(in))
	}
}
