// Package models opens multimodal models and holds conversations with them.
//
//	m, err := models.Open(ctx, "path/to/model", nil)
//	defer m.Close()
//	s, err := m.NewSession(ctx)
//	defer s.Close()
//	picture, err := img.Open("photo.jpg", img.Limits{})
//	a, err := s.Ask(ctx, models.Turn{Text: "What is this?", Images: []img.RGB{picture}})
//	fmt.Println(a.Text)
//
// Open reads a folder in Hugging Face layout, describes it as graphs (package
// arch), plans them for the devices at hand (package scheduler) and compiles.
// A program chooses the drivers it links by importing drivers/static,
// drivers/all, or single ones; this package imports none.
//
// Package models imports scheduler, hal, graph (with its sub-packages), ops
// and its own sub-packages.
package models
