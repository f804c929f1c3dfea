package chat_test

import (
	"context"
	"fmt"

	"github.com/heddle-ml/heddle/models/chat"
)

func Example() {
	// Open("path/to/model", chat.Limits{}) reads the template of a checkpoint.
	tmpl, err := chat.Parse("{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}"+
		"{% if add_generation_prompt %}<|assistant|>{% endif %}", chat.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	prompt, err := tmpl.Render(context.Background(), chat.Vars{
		Messages: []chat.Message{
			{Role: "system", Text: "Be brief."},
			{Role: "user", Text: "What is a heddle?"},
		},
		AddGenerationPrompt: true,
	})
	fmt.Printf("%s\n%v\n", prompt, err)
	// Output:
	// <|system|>Be brief.
	// <|user|>What is a heddle?
	// <|assistant|>
	// <nil>
}
