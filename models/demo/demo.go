package demo

import "embed"

// FS holds the model's files in Hugging Face layout: config.json, weights,
// tokenizer with its chat template, generation and preprocessor settings.
//
//go:embed config.json generation_config.json model.safetensors preprocessor_config.json tokenizer.json tokenizer_config.json
var FS embed.FS

// Name is what messages call the model.
const Name = "demo"
