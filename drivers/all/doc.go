// Package all registers every driver of this repository:
//
//	import _ "github.com/heddle-ml/heddle/drivers/all"
//
// Besides those of drivers/static these are the drivers that load vendors'
// libraries when a device is looked for, which makes a program dynamic even
// without cgo; and the null driver, so that there is a device to try a
// program's handling of devices with. Nothing chooses the null device by
// itself: its kind is driver.Null, and it has to be named.
//
// Package all imports drivers and drivers/static, nothing else.
package all
