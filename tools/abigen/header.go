package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"

	"github.com/heddle-ml/heddle/hal/abi"
)

// The parts of the header that do not follow from the description.
var (
	//go:embed head.h.inc
	headPart string
	//go:embed helpers.h.inc
	helpersPart string
)

func header(s *abi.Spec) ([]byte, error) {
	b := &bytes.Buffer{}
	p := func(format string, args ...any) { fmt.Fprintf(b, format, args...) }
	b.WriteString(headPart)
	p("\n#define HEDDLE_ABI_MAJOR %d\n#define HEDDLE_ABI_MINOR %d\n", abi.Major, abi.Minor)
	for _, e := range s.Enums {
		p("\n%senum heddle_%s {\n", comment("", e.Doc), e.Name)
		for i, v := range e.Values {
			comma := ","
			if i == len(e.Values)-1 {
				comma = ""
			}
			b.WriteString(comment("    ", v.Doc))
			p("    HEDDLE_%s = %d%s\n", v.Name, v.N, comma)
		}
		p("};\n")
	}
	users := map[*abi.Struct][]string{}
	for _, f := range s.Funcs {
		users[f.Args] = append(users[f.Args], f.Name)
	}
	for _, st := range s.Structs {
		doc := st.Doc
		if doc == "" {
			doc = "Arguments of " + strings.Join(users[st], ", ") + "."
		}
		if st.Name == "driver_table" {
			functions(b, s)
		}
		p("\n%stypedef struct heddle_%s {\n", comment("", doc), st.Name)
		for _, f := range st.Fields {
			b.WriteString(comment("    ", fieldDoc(f)))
			p("    %s%s;\n", declare(f.Type.C), f.Name)
		}
		p("} heddle_%s;\n", st.Name)
	}
	p("\n%s", helpersPart)
	p("\n/* The layout that every compiler has to agree on. */\n")
	for _, st := range s.Structs {
		at := map[string]int{}
		size, _, err := st.Layout(at)
		if err != nil {
			return nil, err
		}
		p("HEDDLE_CHECK_LAYOUT(heddle_%s, sizeof(heddle_%s) == %d", st.Name, st.Name, size)
		for _, f := range st.Fields {
			p(" &&\n    offsetof(heddle_%s, %s) == %d", st.Name, f.Name, at[f.Name])
		}
		p(");\n")
	}
	p("\n%s\n#ifdef __cplusplus\n}\n#endif\n\n#endif /* HEDDLE_DRIVER_H */\n", strings.TrimRight(abi.GraphAccessors, "\n")+"\n")
	return b.Bytes(), nil
}

// functions declares a type for each entry of the table.
func functions(b *bytes.Buffer, s *abi.Spec) {
	b.WriteString("\n/* The functions of the table. */\n")
	for _, f := range s.Funcs {
		doc := f.Doc
		if f.Required {
			doc += " Every driver has it."
		}
		fmt.Fprintf(b, "\n%stypedef int32_t (*heddle_%s_fn)(uint64_t %s, heddle_%s *args);\n", comment("", doc), f.Name, selfName(f.Self), f.Args.Name)
	}
}

func selfName(self string) string {
	if self == "0" {
		return "zero"
	}
	return self
}

// fieldDoc says first who writes the field.
func fieldDoc(f abi.Field) string {
	if f.Doc == "" {
		return ""
	}
	switch f.Dir {
	case abi.In:
		return "In. " + f.Doc
	case abi.Out:
		return "Out. " + f.Doc
	}
	return f.Doc
}

// declare puts the space between a type and a name where C has it.
func declare(c string) string {
	if strings.HasSuffix(c, "*") {
		return c
	}
	return c + " "
}

// comment is text as a C comment, wrapped; nothing for no text.
func comment(indent, text string) string {
	if text == "" {
		return ""
	}
	const width = 100
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(indent)+3+len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	lines = append(lines, line)
	if len(lines) == 1 && len(indent)+len(line)+6 <= width {
		return indent + "/* " + line + " */\n"
	}
	return indent + "/* " + strings.Join(lines, "\n"+indent+" * ") + " */\n"
}
