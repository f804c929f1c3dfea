package main

import (
	"fmt"
	"os"

	_ "github.com/heddle-ml/heddle/drivers/all"
	"github.com/heddle-ml/heddle/hal/isolate/host"
)

func main() {
	status, child := host.Main()
	if !child {
		fmt.Fprintln(os.Stderr, "heddle-host: an app starts this program to run a device in a process of its own; it does nothing by itself")
		status = 2
	}
	os.Exit(status)
}
