// Heddle runs, checks and inspects multimodal models on whatever processors a
// machine has. `heddle help` lists its commands; the names of commands, flags
// and JSON fields are fixed, because scripts rely on them.
//
// This package links the drivers and hands its process to internal/cli. It
// imports drivers/..., hal and its own internal packages.
package main
