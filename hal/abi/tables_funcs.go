package abi

// funcs lists the functions in the order of the table: new ones at the end.
func funcs(p *shared) []*Func {
	args := func(name, doc string, fs ...Field) *Struct {
		return &Struct{Name: name, Doc: doc, Fields: append([]Field{head(p)}, fs...)}
	}
	pad := func(name string) Field { return Field{name, U32, None, "0."} }
	none := args("none_args", "Arguments of functions that take none.")
	graph := []Field{
		in("graph", Ptr("const void"), "In the format that open asked for; at a multiple of 16 bytes. Valid during the call: copy what you keep."),
		in("graph_size", U64, "Bytes."),
		in("weights", Ptr("const heddle_weight"), "One for each source that the graph refers to; valid during the call."),
		in("weight_count", U32, ""),
		pad("reserved"),
		in("label", Of(p.str), "Name for messages and traces."),
	}
	made := []Field{
		out("executable", U64, "Its handle."),
		out("arg_align", U32, "Alignment of arguments' offsets in bytes, a power of two of at most 4096; 0 means 64."),
		pad("reserved2"),
	}
	join := func(fs ...[]Field) (all []Field) {
		for _, f := range fs {
			all = append(all, f...)
		}
		return all
	}
	const device, executable, memory = "device", "executable", "memory"
	return []*Func{
		{Name: "info", Required: true, Self: "0", Doc: "Describes the driver. It has no side effects: it opens no device and loads no firmware.",
			Args: args("info_args", "",
				out("vendor", Of(p.buf), "Name of the vendor."), out("version", Of(p.buf), "Version of the driver."),
				out("device_count", U32, "Devices that are here, 0 if none; numbered from 0."), pad("reserved"))},
		{Name: "probe", Required: true, Self: "0", Doc: "Describes one device, within 50 ms and without opening it. HEDDLE_UNAVAILABLE: it is not here, because of the message.",
			Args: args("probe_args", "",
				in("device", U32, "Its number."), out("kind", U32, "enum heddle_kind."), out("model", Of(p.buf), "Name of the model."))},
		{Name: "open", Required: true, Self: "0", Doc: "Opens a device. It may be opened several times.",
			Args: args("open_args", "",
				in("device", U32, "Its number."), in("threads", U32, "Most host threads to compute with; 0: the driver chooses."),
				in("options", Ptr("const heddle_option"), "What the device's name asks for. Refuse an unknown one with HEDDLE_UNSUPPORTED."),
				in("option_count", U32, ""),
				out("graph_format", U32, "enum heddle_graph_format: what supports, compile and load shall be given."),
				out("device_flags", U32, "Sum of enum heddle_device_flag."), pad("reserved"),
				out("handle", U64, "The device's handle."))},
		{Name: "close", Required: true, Self: device, Args: none, Doc: "Closes a device. The host has closed what was made from it and no call is under way. The handle is gone, whatever the status."},
		{Name: "caps", Required: true, Self: device, Doc: "Describes the device: a JSON object as driver.Caps in hal/driver/caps.go, which says what the fields mean. It never changes.",
			Args: args("caps_args", "", out("json", Of(p.buf), "At most 4 MiB."))},
		{Name: "supports", Required: true, Self: device, Doc: "Tells for each node of a graph whether compile could take it as part of a graph. It is necessary, not sufficient: compile may still refuse the whole. Graphs may be unspecialised and have weights without data. No weights are given.",
			Args: args("supports_args", "",
				in("graph", Ptr("const void"), "As in compile."), in("graph_size", U64, ""),
				in("verdicts", Ptr("heddle_verdict"), "Room of the host's for the answers. Each reason is HEDDLE_REASON_UNANSWERED before: set all."),
				in("verdict_cap", U32, "The number of nodes: the room in verdicts."),
				out("verdict_count", U32, "How many were answered: all."),
				out("texts", Of(p.buf), "Room for the reasons. What does not fit is left out: supports never returns HEDDLE_TOO_SMALL."))},
		{Name: "alloc", Required: true, Self: device, Doc: "Allocates zeroed memory for arguments of runs.",
			Args: args("alloc_args", "",
				in("bytes_size", U64, "Bytes; may be 0."), in("heap", U32, "Index in the caps' heaps."), pad("reserved"),
				out("memory", U64, "Its handle."),
				out("bytes", Ptr("void"), "Where the host sees it, at a multiple of 64 bytes, until it is freed; NULL if the host does not see it. The driver owns it."))},
		{Name: "free", Required: true, Self: memory, Args: none, Doc: "Frees memory, also imported. No run uses it. The handle is gone, whatever the status."},
		{Name: "compile", Required: true, Self: device, Doc: "Prepares a graph to run. Its arguments are the graph's inputs, outputs and states, in this order. Reading weights may be put off to the first run, but only of what was mapped or duplicated during the call.",
			Args: args("compile_args", "", join(graph, []Field{in("cancel", Ptr("const uint32_t"), "As in run.")}, made)...)},
		{Name: "release", Required: true, Self: executable, Args: none, Doc: "Closes an executable. No run is under way. The handle is gone, whatever the status."},
		{Name: "run", Required: true, Self: executable, Doc: "Runs an executable and returns when it is done. Several threads may run one executable at once, with different arguments. An output or state overlaps no other argument.",
			Args: args("run_args", "",
				in("args", Ptr("const heddle_arg"), "Inputs, outputs, states. An argument's planes (data, scales, zero points) follow each other, each at a multiple of 64 bytes. Nothing outside of outputs and states may be written."),
				in("dims", Ptr("const int64_t"), "Values of the graph's symbols, in order, each within its bounds."),
				in("arg_count", U32, ""), in("dim_count", U32, ""),
				in("timeout_ns", U64, "Give up with HEDDLE_TIMEOUT after so many nanoseconds; 0: never."),
				in("cancel", Ptr("const uint32_t"), "A word that another thread makes non-zero to stop the call: read it now and then (heddle_cancelled), at least every 10 ms if the hardware lets you, and return HEDDLE_CANCELLED. Valid during the call; may be NULL."),
				in("queue", U64, "Number of the queue that the run belongs to: runs of one queue never overlap."))},
		{Name: "footprint", Self: executable, Doc: "Tells what an executable occupies, in bytes.",
			Args: args("footprint_args", "",
				out("weights", U64, "The device's own copies."), out("mapped", U64, "Weights used where they are."), out("scratch", U64, "Working memory of one run at the symbols' upper bounds."))},
		{Name: "import_memory", Self: device, Doc: "Makes a memory of one that was made elsewhere, without copying. Its content is kept, not zeroed. Caps state the kinds for each heap.",
			Args: args("import_args", "",
				in("kind", U32, "enum heddle_share."), in("fd", I32, "The host's descriptor, valid during the call: map or duplicate it. -1 for an address."),
				in("address", Ptr("void"), "The address, valid until the memory is freed; else NULL."), in("bytes_size", U64, "Bytes, from the beginning."),
				out("memory", U64, "As in alloc."), out("bytes", Ptr("void"), "As in alloc."))},
		{Name: "copy", Self: device, Doc: "Copies rows between memories, of which the host sees at least one not. Source and destination do not overlap.",
			Args: args("copy_args", "",
				in("dst", U64, "Memory."), in("dst_offset", U64, "Of the first row."), in("dst_stride", U64, "Bytes from row to row."),
				in("src", U64, "Memory."), in("src_offset", U64, ""), in("src_stride", U64, ""),
				in("bytes_size", U64, "Bytes in a row."), in("rows", U64, "At least 1."))},
		{Name: "fill", Self: memory, Doc: "Fills part of a memory that the host does not see.",
			Args: args("fill_args", "", in("offset", U64, ""), in("bytes_size", U64, ""), in("value", U32, "A byte."), pad("reserved"))},
		{Name: "upload", Self: memory, Doc: "Copies from the host into a memory that it does not see.",
			Args: args("upload_args", "", in("offset", U64, ""), in("bytes_size", U64, ""), in("host", Ptr("const void"), "The host's; valid during the call."))},
		{Name: "download", Self: memory, Doc: "Copies to the host from a memory that it does not see.",
			Args: args("download_args", "", in("offset", U64, ""), in("bytes_size", U64, ""), in("host", Ptr("void"), "The host's; valid during the call."))},
		{Name: "save", Self: executable, Doc: "Serialises an executable. Weights need not be in the blob: load gets them again. Expect two calls: one with little room, one with what the first asked for; both have to give the same bytes.",
			Args: args("save_args", "", out("blob", Of(p.buf), "At most 4 GiB."))},
		{Name: "judge", Self: device, Doc: "Tells what load would do with a blob, without loading it. The blob may be any bytes: cut off, changed, or another driver's.",
			Args: args("judge_args", "", in("blob", Ptr("const void"), "Valid during the call."), in("blob_size", U64, ""), out("compat", U32, "enum heddle_compat."), pad("reserved"))},
		{Name: "load", Self: device, Doc: "Makes an executable of a blob and the graph that it was compiled from. HEDDLE_INCOMPATIBLE: compile it anew. The blob may be any bytes.",
			Args: args("load_args", "", join([]Field{in("blob", Ptr("const void"), "Valid during the call."), in("blob_size", U64, "")}, graph, made, []Field{in("cancel", Ptr("const uint32_t"), "As in run.")})...)},
		{Name: "drain_logs", Self: device, Doc: "Hands over, and forgets, the oldest lines that the driver logged: \"level text\\n\" with level one of debug, info, warn, error. As many whole lines as fit; len 0 if there are none. Keep a bounded number.",
			Args: args("logs_args", "", out("lines", Of(p.buf), ""))},
		{Name: "drain_events", Self: device, Doc: "Hands over, and forgets, the oldest events. Keep a bounded number, and record them only once this was called.",
			Args: args("events_args", "", in("events", Ptr("heddle_event"), "Room of the host's."), in("event_cap", U32, "Events that it has room for."), out("event_count", U32, "Events written."),
				out("lost", U64, "Events dropped since the call before, for lack of room in the driver."))},
	}
}
