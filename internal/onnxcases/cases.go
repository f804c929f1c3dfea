package onnxcases

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/onnx"
)

// Case is one test case.
type Case struct {
	Name  string
	Model []byte
	Graph *graph.Graph
	// Inputs holds the values of the graph's inputs, by name.
	Inputs map[string]*graph.Tensor
	// Outputs holds what the graph's outputs must be, in their order.
	Outputs []Output
}

// Output is a named value.
type Output struct {
	Name   string
	Tensor *graph.Tensor
}

// List returns the names of the cases in dir, sorted.
func List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("onnxcases: %w", err)
	}
	var names []string
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(dir, e.Name(), "model.onnx")); err == nil {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("onnxcases: %s has no folder with a model.onnx in it", dir)
	}
	return names, nil
}

// Load reads the case called name in dir and imports its model.
func Load(dir, name string) (*Case, error) {
	c, err := load(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("onnxcases: %s: %w", name, err)
	}
	c.Name = name
	return c, nil
}

func load(dir string) (*Case, error) {
	model, err := os.ReadFile(filepath.Join(dir, "model.onnx"))
	if err != nil {
		return nil, err
	}
	ins, outs, err := onnx.Names(model)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "test_data_set_0")
	values := map[string]*graph.Tensor{}
	for i, name := range ins {
		if values[name], err = tensor(data, "input", i); err != nil {
			return nil, fmt.Errorf("input %q: %w", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(data, "input_"+strconv.Itoa(len(ins))+".pb")); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("has more input files than the model's %d inputs", len(ins))
	}
	c := &Case{Model: model, Inputs: map[string]*graph.Tensor{}}
	for i, name := range outs {
		t, err := tensor(data, "output", i)
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", name, err)
		}
		c.Outputs = append(c.Outputs, Output{name, t})
	}
	if c.Graph, err = onnx.Import(model, onnx.ImportOptions{Values: values}); err != nil {
		return nil, err
	}
	for _, id := range c.Graph.Inputs {
		name := c.Graph.Values[id].Name
		c.Inputs[name] = values[name]
	}
	return c, nil
}

// tensor reads input_N.pb or output_N.pb.
func tensor(dir, kind string, i int) (*graph.Tensor, error) {
	b, err := os.ReadFile(filepath.Join(dir, kind+"_"+strconv.Itoa(i)+".pb"))
	if err != nil {
		return nil, err
	}
	return onnx.ParseTensor(b)
}
