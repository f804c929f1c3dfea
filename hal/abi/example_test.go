package abi_test

import (
	"fmt"

	"github.com/heddle-ml/heddle/hal/abi"
)

// The functions that a driver cannot do without, with their arguments.
func ExampleDescribe() {
	for _, f := range abi.Describe().Funcs {
		if f.Required {
			fmt.Printf("%s(%s, heddle_%s *)\n", f.Name, f.Self, f.Args.Name)
		}
	}
	// Output:
	// info(0, heddle_info_args *)
	// probe(0, heddle_probe_args *)
	// open(0, heddle_open_args *)
	// close(device, heddle_none_args *)
	// caps(device, heddle_caps_args *)
	// supports(device, heddle_supports_args *)
	// alloc(device, heddle_alloc_args *)
	// free(memory, heddle_none_args *)
	// compile(device, heddle_compile_args *)
	// release(executable, heddle_none_args *)
	// run(executable, heddle_run_args *)
}
