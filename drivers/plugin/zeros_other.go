//go:build !linux && !darwin

package plugin

import "github.com/heddle-ml/heddle/hal/driver"

// zeros is not needed where no library can be loaded.
func zeros(int64) (zeroData, func(), error) { return nil, nil, driver.ErrUnavailable }
