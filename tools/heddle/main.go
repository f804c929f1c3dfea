package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/isolate/host"
	"github.com/heddle-ml/heddle/tools/heddle/internal/cli"
)

func main() {
	// An isolated device lives in this same program, started again.
	if status, child := host.Main(); child {
		os.Exit(status)
	}
	interrupts := make(chan os.Signal, 2)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	os.Exit(cli.Main(os.Args[1:], cli.Env{
		Registry:   hal.Default,
		Stdin:      os.Stdin,
		Stdout:     os.Stdout,
		Stderr:     os.Stderr,
		Interrupts: interrupts,
		Kill:       os.Exit,
	}))
}
