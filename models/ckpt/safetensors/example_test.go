package safetensors_test

import (
	"bytes"
	"fmt"

	"github.com/heddle-ml/heddle/models/ckpt/safetensors"
)

func Example() {
	var buf bytes.Buffer
	err := safetensors.Write(&buf, []safetensors.Entry{
		{Name: "scale", DType: safetensors.F32, Shape: []int64{2}, Data: []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := safetensors.New("example", buf.Bytes()) // or Open(path), which maps the file
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range file.Tensors() {
		values, err := file.Float32s(t)
		fmt.Println(t.Name, t.DType, t.Shape, values, err)
	}
	// Output: scale F32 [2] [1 2] <nil>
}
