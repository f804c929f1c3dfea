// Package sample chooses the next token from a decoder's logits: greedily or
// at random under temperature, top-k, top-p, min-p and a repetition penalty,
// with the meaning and in the order of Hugging Face's logits processors.
//
// The same parameters, seed, logits and history give the same tokens:
// probabilities are computed in float64 and random numbers come from PCG
// (math/rand/v2), whose sequence is fixed.
//
// The package imports the standard library only and knows nothing of models or
// devices.
package sample
