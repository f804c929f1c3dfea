package plugin_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/heddle-ml/heddle/drivers/plugin"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Opening a library that is not there says so. A program usually opens one
// through package hal: hal.Open(ctx, "plugin:/opt/vendor/libnpu.so").
func ExampleDriver_Open() {
	_, err := plugin.Driver{}.Open(context.Background(), "/opt/vendor/libnpu.so", driver.OpenOptions{})
	fmt.Println(err)
	fmt.Println(errors.Is(err, driver.ErrUnavailable))
	// Output:
	// library /opt/vendor/libnpu.so: no such file or directory: unavailable
	// true
}
