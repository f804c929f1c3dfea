package isolate

import "github.com/heddle-ml/heddle/hal/driver"

// Process is implemented, through driver.As, by devices that live in a child
// process.
type Process interface {
	// PID returns the number of the process.
	PID() int
	// Program returns the path of the host program.
	Program() string
}

// AttackReport says what came of an Attack.
type AttackReport struct {
	Sessions int
	// Refused sessions ended because a frame made no sense; in the others the
	// host answered everything, if only with errors.
	Refused int
}

func infoOf(name string, in driver.Driver) driver.Info {
	if in == nil {
		return driver.Info{Name: name, Summary: "a driver of the host program", Foreign: true}
	}
	return in.Info()
}
