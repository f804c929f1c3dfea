package models

import "github.com/heddle-ml/heddle/models/sample"

// Tokens returns how many tokens of a prompt stand for the picture, without
// those that a model writes around them.
func (p *Picture) Tokens() int { return p.tokens }

// Sampling returns how the model's files want tokens to be chosen: greedily
// unless they say otherwise. It is what a Turn without Sampling gets.
func (g Generation) Sampling() sample.Params { return g.params() }
