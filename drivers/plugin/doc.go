// Package plugin is the driver for vendors' shared libraries that implement
// the C driver ABI, include/heddle_driver.h:
//
//	hal.Open(ctx, "plugin:/opt/vendor/libnpu.so")    // its first device
//	hal.Open(ctx, "plugin:/opt/vendor/libnpu.so#1")  // its second
//
// The environment variable HEDDLE_PLUGINS lists libraries for Probe, separated
// like PATH. Probe loads nothing. Options of the name are the library's, but
// for timeout (a duration such as 30s), after which a run is told to give up.
//
// A vendor's functions block; each queue has a goroutine, and with it a
// thread, for them. The package maps hal/driver to the ABI one to one and has
// no policy. What it adds: weights reach the library as descriptors and
// offsets, memory files are made where they lie in memory only, and derived
// ones are encoded into such a file, once for all executables of a device; a
// library that wants graphs as ONNX gets them so; and what comes back is
// checked before it is believed. A library that lacks a function lacks what it does;
// one that answers nonsense gets an error that says so. Against crashes and
// scribbling only the isolated process helps (hal/isolate), in which devices
// of this driver run unless somebody asks otherwise.
//
// A library is loaded once, stays loaded until the process ends (see package
// dl) and is known by its path: one that is replaced on disk is used by the
// next process.
//
// Package plugin imports hal, hal/driver, hal/abi, graph and its sub-packages,
// graph/onnx, drivers/internal/dl, and golang.org/x/sys/unix.
package plugin
