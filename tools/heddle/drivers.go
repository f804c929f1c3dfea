package main

// Each driver registers itself.
import _ "github.com/heddle-ml/heddle/drivers/all"
