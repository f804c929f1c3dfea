package gguf_test

import (
	"fmt"

	"github.com/heddle-ml/heddle/models/ckpt/gguf"
)

func ExampleOpen() {
	f, err := gguf.Open("../../../testdata/golden/gguf_models/llama_tiny_q8_0.gguf")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	arch, err := f.String("general.architecture")
	if err != nil {
		fmt.Println(err)
		return
	}
	t, _ := f.Tensor("token_embd.weight")
	fmt.Println(arch, t.Type, t.Dims, len(f.Data(t)), "bytes")
	// Output: llama Q8_0 [64 256] 17408 bytes
}
