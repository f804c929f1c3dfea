package plugin

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"

	"github.com/heddle-ml/heddle/hal/abi"
)

// levels of the lines that libraries log.
var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// drainLogs passes on what the library has logged, to log/slog.
func (d *device) drainLogs() {
	if d.lib.table.DrainLogs == 0 {
		return
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	data := make([]byte, 8<<10)
	room := bufOf(&pin, data)
	for range 16 { // a library that never runs dry is left alone
		args := &abi.LogsArgs{Lines: room}
		_, err := callStatus(d, "drain_logs", d.lib.table.DrainLogs, d.handle, args)
		if err != nil || args.Lines.Len == 0 || args.Lines.Len > uint64(len(data)) {
			return
		}
		logLines(d.lib.path, data[:args.Lines.Len])
	}
}

// logLines logs lines of the form "level text". What has no known level is
// information.
func logLines(library string, text []byte) {
	for line := range bytes.Lines(text) {
		word, rest, _ := bytes.Cut(line, []byte(" "))
		level, known := levels[string(word)]
		if !known {
			level, rest = slog.LevelInfo, line
		}
		if message := printable(rest); message != "" {
			slog.Default().Log(context.Background(), level, message, "library", library)
		}
	}
}
