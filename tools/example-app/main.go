// Example-app shows how a program uses heddle: it is a Go module of its own,
// links the drivers it wants, finds out at run time what the machine has, and
// asks the embedded demo model about a picture on the device it was told to
// prefer.
//
//	go run . -device cpu -image ../../models/demo/examples/shapes.png "What is right of the yellow star?"
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"strings"

	_ "github.com/heddle-ml/heddle/drivers/static"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/scheduler"
)

func main() {
	device := flag.String("device", "auto", "devices in order of preference, separated by commas")
	image := flag.String("image", "", "the picture to ask about")
	flag.Parse()
	log.SetFlags(0)
	if err := run(context.Background(), strings.Split(*device, ","), *image, strings.Join(flag.Args(), " ")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, devices []string, image, question string) error {
	for _, d := range hal.Devices(ctx) {
		for _, x := range d.Devices {
			log.Printf("%s:%s is a %s: %s", d.Name, x.ID, x.Kind, x.Model)
		}
	}
	picture, err := img.Open(image, img.Limits{})
	if err != nil {
		return err
	}
	m, err := models.OpenFS(ctx, demo.Name, demo.FS, &models.Options{Policy: scheduler.Policy{Devices: devices}})
	if err != nil {
		return err
	}
	defer m.Close()
	_ = m.Plan().Explain(log.Writer()) // where each part runs, and why
	s, err := m.NewSession(ctx)
	if err != nil {
		return err
	}
	a, err := s.Ask(ctx, models.Turn{Text: question, Images: []img.RGB{picture}})
	if err == nil {
		fmt.Println(a.Text)
	}
	return err
}
