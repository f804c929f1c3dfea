// Package demo embeds the demo model: a vision-language model of two million
// parameters that answers questions about coloured shapes, short texts and
// bar charts, so that heddle runs without anything being downloaded. README.md
// says what it can be asked and how well it answers, train/ how it was made;
// eval/, examples/ and golden/ hold what it is judged by and are not embedded.
//
//	m, err := models.OpenFS(ctx, demo.Name, demo.FS, nil)
//
// Package demo imports the standard library only.
package demo
