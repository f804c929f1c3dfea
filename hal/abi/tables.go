package abi

// Describe returns the description of the interface. The result is built
// anew and belongs to the caller.
func Describe() *Spec {
	p := parts()
	s := &Spec{Enums: enums(), Structs: []*Struct{p.str, p.buf, p.head}}
	s.Funcs = funcs(p)
	get := &Struct{Name: "get_args", Doc: "Arguments of heddle_driver_get. Its fields up to table keep their places in every major version, so that two sides of different versions can still tell each other so.",
		Fields: []Field{head(p), in("abi_major", U32, "The host's HEDDLE_ABI_MAJOR."), in("abi_minor", U32, "The host's HEDDLE_ABI_MINOR."),
			out("table", Ptr("const struct heddle_driver_table"), "The driver's table: constant, valid until the process ends.")}}
	s.Structs = append(s.Structs, p.value...)
	s.Structs = append(s.Structs, get)
	seen := map[*Struct]bool{}
	for _, f := range s.Funcs {
		if !seen[f.Args] {
			seen[f.Args] = true
			s.Structs = append(s.Structs, f.Args)
		}
	}
	table := &Struct{Name: "driver_table", Doc: "What a driver can do. The first 16 bytes keep their places in every major version. A NULL function, and one behind the end that size states, is one that the driver lacks.",
		Fields: []Field{
			{"size", U32, Out, "sizeof(heddle_driver_table), as the driver was compiled."},
			{"abi_major", U32, Out, "HEDDLE_ABI_MAJOR, as the driver was compiled. The host refuses another one than its own."},
			{"abi_minor", U32, Out, "HEDDLE_ABI_MINOR, as the driver was compiled. Any will do."},
			{"reserved", U32, None, "0."},
		}}
	for _, f := range s.Funcs {
		table.Fields = append(table.Fields, Field{f.Name, Type{Go: "uintptr", C: "heddle_" + f.Name + "_fn", Size: 8, Align: 8}, Out, ""})
	}
	s.Structs = append(s.Structs, table)
	return s
}

func in(name string, t Type, doc string) Field  { return Field{name, t, In, doc} }
func out(name string, t Type, doc string) Field { return Field{name, t, Out, doc} }
func head(p *shared) Field                      { return Field{"head", Of(p.head), None, ""} }

// shared are the structures inside of others.
type shared struct {
	str, buf, head                      *Struct
	weight, option, verdict, arg, event *Struct
	value                               []*Struct // those of the line above
}

func parts() *shared {
	p := &shared{
		str: &Struct{Name: "str", Fixed: true, Doc: "Text or bytes that are only read. len counts no NUL, and there need not be one.", Fields: []Field{
			{"data", Ptr("const char"), None, ""}, {"len", U64, None, ""}}},
		buf: &Struct{Name: "buf", Fixed: true, Doc: "Room of the host's, to be filled by the driver.", Fields: []Field{
			{"data", Ptr("void"), None, "NULL if cap is 0."}, {"cap", U64, None, "Bytes of room; the host's to set."},
			{"len", U64, None, "The driver's to set: the bytes it wrote; or, more than cap, the room it needs, and then it wrote nothing that counts and returns HEDDLE_TOO_SMALL."}}},
		head: &Struct{Name: "head", Fixed: true, Doc: "Every structure of arguments begins with one.", Fields: []Field{
			{"size", U32, In, "sizeof of the structure, as the caller was compiled; see HEDDLE_HAS."},
			{"reserved", U32, None, "0."},
			{"text", Ptr("char"), In, "Room of the host's for a message in UTF-8; see heddle_fail. May be NULL."},
			{"text_cap", U32, In, "Bytes of room in text."},
			{"text_len", U32, Out, "Bytes written there, at most text_cap; read only if the status is not HEDDLE_OK."}}},
	}
	p.weight = &Struct{Name: "weight", Fixed: true, Doc: "Where the bytes of one source of weights lie: size bytes of the file fd, from offset on. Offsets of a graph's parts count from there. The descriptor is valid during the call; mmap it read-only (the map outlives the descriptor; round offset down to a page), dup it, or pread it. Never write, seek or close it.", Fields: []Field{
		{"name", Of(p.str), None, "Of the source, as the graph has it."},
		{"source", U32, None, "Index of the source in the graph."},
		{"fd", I32, None, ""}, {"offset", U64, None, ""}, {"size", U64, None, ""}}}
	p.option = &Struct{Name: "option", Fixed: true, Doc: "An option from the device's name, plugin:/path/lib.so?key=value.", Fields: []Field{
		{"key", Of(p.str), None, ""}, {"value", Of(p.str), None, ""}}}
	p.verdict = &Struct{Name: "verdict", Fixed: true, Doc: "The answer for one node.", Fields: []Field{
		{"reason", U32, None, "enum heddle_reason: HEDDLE_REASON_NONE if the node can be compiled."},
		{"group", I32, None, "If positive, nodes of the same group must be placed together."},
		{"text", U32, None, "Where the reason for people begins in texts."},
		{"text_len", U32, None, "Its length, 0 if there is none."}}}
	p.arg = &Struct{Name: "arg", Fixed: true, Doc: "One argument of a run: size bytes of a memory, from offset on.", Fields: []Field{
		{"memory", U64, None, "Handle of the memory."}, {"offset", U64, None, "Bytes; a multiple of the executable's arg_align."},
		{"size", U64, None, "Bytes; exactly what the argument takes at the given dims."},
		{"bytes", Ptr("void"), None, "The same place as the host sees it: the memory's bytes + offset; NULL for memory that the host does not see."}}}
	p.event = &Struct{Name: "event", Fixed: true, Doc: "Something that took time on the device.", Fields: []Field{
		{"executable", U64, None, "Handle; 0 if it belongs to none."},
		{"start_ns", U64, None, "Nanoseconds of CLOCK_MONOTONIC."}, {"end_ns", U64, None, ""},
		{"node", I32, None, "Index of the node in the executable's graph; -1 for a whole run."}, {"kind", U32, None, "0; reserved."}}}
	p.value = []*Struct{p.weight, p.option, p.verdict, p.arg, p.event}
	return p
}

func enums() []*Enum {
	return []*Enum{
		{"status", "What every function returns. All but HEDDLE_OK come with a message in head.text.", []EnumValue{
			{"OK", 0, ""},
			{"ERROR", 1, "None of the others; say what in the message."},
			{"UNSUPPORTED", 2, "The device cannot do this, now or later."},
			{"UNAVAILABLE", 3, "The device is not here; the message says why."},
			{"OUT_OF_MEMORY", 4, ""},
			{"DEVICE_LOST", 5, "The device is gone or reset: nothing made from it will work again, but must still be closed."},
			{"TIMEOUT", 6, ""},
			{"INCOMPATIBLE", 7, "A blob of another driver, device, version or graph."},
			{"INVALID", 8, "The host's arguments, or the graph, make no sense."},
			{"CANCELLED", 9, "The host set the word that cancel points to."},
			{"TOO_SMALL", 10, "A buf has too little room; its len says how much is needed. The host calls again."},
		}},
		{"kind", "Kinds of devices.", []EnumValue{{"KIND_CPU", 0, ""}, {"KIND_GPU", 1, ""}, {"KIND_NPU", 2, ""}, {"KIND_NULL", 3, "It computes nothing."}}},
		{"graph_format", "How graphs reach the driver.", []EnumValue{
			{"GRAPH_IR", 0, "heddle's flat binary form; see the accessors at the end of this file."},
			{"GRAPH_ONNX", 1, "An ONNX ModelProto. Node i of the graph is called \"<i>:<name>\"; nodes with other names help it (casts, dequantization, copies). A state S is an input S and, if it is changed, an output S.out; arguments of a run stay inputs, outputs, states, so that both are one argument. Weights over a kilobyte are external data in the one file that weights lists, whatever they are in the graph."}}},
		{"device_flag", "Bits of open_args.device_flags.", []EnumValue{
			{"DEVICE_SERIAL", 1, "The host makes one call at a time on the device and all that is made from it, and on all other devices of the library that say so; and none while it opens a device."}}},
		{"reason", "Why a node is refused.", []EnumValue{
			{"REASON_NONE", 0, "It is not."},
			{"REASON_OPERATOR", 1, "The operator is not implemented."},
			{"REASON_TYPE", 2, "Not for this element type."},
			{"REASON_ENCODING", 3, "Not for this encoding of a weight or state."},
			{"REASON_SHAPE", 4, "Rank, size or layout."},
			{"REASON_ATTRIBUTE", 5, "This value of an attribute."},
			{"REASON_DYNAMIC", 6, "Shapes have to be static."},
			{"REASON_LIMIT", 7, "Too large for the device."},
			{"REASON_POLICY", 8, "Possible, but refused by a rule."},
			{"REASON_UNANSWERED", 255, "What the host writes before the call; still there afterwards, it is the driver's mistake."}}},
		{"share", "Ways to share memory.", []EnumValue{
			{"SHARE_MEMFD", 1, "A file descriptor that can be mapped."}, {"SHARE_DMABUF", 2, "A dma-buf's descriptor."}, {"SHARE_HOST", 3, "An address in this process."}}},
		{"compat", "What load would do with a blob.", []EnumValue{
			{"COMPAT_OPTIMAL", 0, "Load it."}, {"COMPAT_USABLE", 1, "Load it; compiling anew would be better."},
			{"COMPAT_RECOMPILE", 2, "Refuse it: made by another version of the driver or firmware."}, {"COMPAT_FOREIGN", 3, "Refuse it: not a blob of this driver, or damaged."}}},
	}
}
