package kern_test

import (
	"fmt"

	"github.com/heddle-ml/heddle/ops/kern"
)

func ExampleSelect() {
	table, err := kern.Select() // the best tier, or the one that HEDDLE_CPU names
	if err != nil {
		fmt.Println(err)
		return
	}
	y := make([]float32, 3)
	table.Exp(y, []float32{-1, 0, 1})
	fmt.Printf("%.4f\n", y)
	// Output: [0.3679 1.0000 2.7183]
}
