package static_test

import (
	"fmt"

	_ "github.com/heddle-ml/heddle/drivers/static"
	"github.com/heddle-ml/heddle/hal"
)

func Example() {
	fmt.Println(hal.Default.Names())
	// Output: [cpu]
}
