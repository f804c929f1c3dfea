// Package hal is what apps and the scheduler hold: concrete devices, buffers,
// executables, queues and timelines, whatever driver is behind them.
//
//	dev, err := hal.Open(ctx, "cpu")
//	exe, err := dev.Compile(ctx, g, hal.CompileOptions{Data: weights})
//	q, err := dev.NewQueue(hal.QueueOptions{})
//
// Drivers implement package hal/driver and register themselves; this package
// checks every argument before a driver sees it, wraps errors with the
// driver's and device's name, and keeps a lost device lost. A program
// chooses its drivers by importing them: drivers/static, drivers/all, or one
// by one.
//
// With the option validate=1 ("cpu?validate=1") package hal/validate checks
// the driver, and what is asked of it, against the contract.
//
// [SelfCheck] tells a device that works from one that does not. One that fails
// is in quarantine: it is not opened any more.
//
// Package hal imports graph (with dim and enc), hal/driver, hal/validate,
// hal/isolate, and hal/internal/selfcheck and hal/internal/wellformed, which
// know operators.
package hal
