// Heddle-host runs one device for another program, which starts it: a driver
// that crashes then takes this process with it, and not the app. It has every
// driver of heddle, those of vendors' libraries included, and lies beside the
// app or is named with the option host=PATH or the environment variable
// HEDDLE_HOST; see package hal/isolate.
//
//	go build -o heddle-host ./tools/heddle-host
//
// It imports hal/isolate/host and drivers/all.
package main
