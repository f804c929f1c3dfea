package main

// The drivers that the command is built with; each registers itself.
import (
	_ "github.com/heddle-ml/heddle/drivers/cpu"
	_ "github.com/heddle-ml/heddle/drivers/null"
)
