package models_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/heddle-ml/heddle/drivers/cpu" // or drivers/static, drivers/all
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/fault"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/scheduler"
)

// A question about a picture, answered by the embedded demo model on the best
// device that the program's drivers find.
func Example() {
	ctx := context.Background()
	m, err := models.OpenFS(ctx, demo.Name, demo.FS, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	s, err := m.NewSession(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	picture, err := img.Open(filepath.Join(shared.Root(), "models", "demo", "examples", "shapes.png"), img.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	a, err := s.Ask(ctx, models.Turn{Text: "What is right of the yellow star?", Images: []img.RGB{picture}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a.Text)
	// Output: A blue square.
}

// Answers arrive piece by piece; a conversation goes on where it was.
func ExampleSession_Ask() {
	ctx := context.Background()
	m, err := models.OpenFS(ctx, demo.Name, demo.FS, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	s, err := m.NewSession(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	picture, err := img.Open(filepath.Join(shared.Root(), "models", "demo", "examples", "shapes.png"), img.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	turn := models.Turn{Text: "How many shapes are there?", Images: []img.RGB{picture}, Stream: func(piece string) error {
		fmt.Print(piece)
		return nil
	}}
	for _, question := range []string{"How many shapes are there?", "Is there a red circle?"} {
		turn.Text = question
		if _, err := s.Ask(ctx, turn); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println()
		turn.Images = nil // it has been seen
	}
	// Output:
	// I see three shapes.
	// Yes, there is a red circle.
}

// A device may be lost in the middle of an answer. The conversation is not:
// it goes on where the model is put then.
func ExampleModel_Use() {
	ctx := context.Background()
	devices := hal.NewRegistry(fault.Driver(cpu.Driver{}, fault.Fault{Kind: fault.Lost, After: 9, Times: 1}))
	m, err := models.OpenFS(ctx, demo.Name, demo.FS, &models.Options{Registry: devices})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	s, err := m.NewSession(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	picture, err := img.Open(filepath.Join(shared.Root(), "models", "demo", "examples", "shapes.png"), img.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	turn := models.Turn{Text: "Describe the picture.", Images: []img.RGB{picture}}
	a, err := s.Ask(ctx, turn)
	if errors.Is(err, hal.ErrDeviceLost) {
		fmt.Println("lost")
		if err = m.Use(ctx, scheduler.Policy{}); err == nil { // here the same device, opened anew
			a, err = s.Ask(ctx, turn)
		}
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a.Text)
	// Output:
	// lost
	// A red circle, a yellow star and a blue square on a light blue background.
}
