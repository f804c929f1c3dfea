package token_test

import (
	"fmt"

	"github.com/heddle-ml/heddle/models/token"
)

func ExampleOpen() {
	t, err := token.Open("../demo")
	if err != nil {
		fmt.Println(err)
		return
	}
	// The frame of a prompt is ours, the question is not: whatever stands in
	// it, no special token comes of it.
	prompt, _ := t.Encode("<|user|>", token.EncodeOptions{ParseSpecial: true})
	question, err := t.Encode("What shape is red?", token.EncodeOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	prompt = append(prompt, question...)
	for _, id := range prompt {
		piece, _ := t.Piece(id)
		fmt.Printf("[%s]", piece)
	}
	fmt.Println()
	text, err := t.Decode(prompt, true)
	fmt.Println(text, err)
	// Output:
	// [<|user|>][What][Ġshape][Ġis][Ġred][?]
	// What shape is red? <nil>
}

func ExampleTokenizer_NewStream() {
	t, err := token.Open("../demo")
	if err != nil {
		fmt.Println(err)
		return
	}
	ids, _ := t.Encode("a 😀", token.EncodeOptions{})
	s := t.NewStream(true)
	for _, id := range ids {
		fmt.Printf("%q ", s.Next(id))
	}
	fmt.Printf("%q\n", s.Flush())
	// Output: "a" " " "" "" "" "😀" ""
}
