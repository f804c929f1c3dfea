// Package attn computes attention without ever holding a Tq x Tk matrix: keys
// and values are visited in blocks, and each query row carries its running
// maximum, sum and weighted values (streaming softmax, as in FlashAttention).
//
// Everything is float32. Scratch comes from the caller and depends on the head
// sizes alone, not on the context length. It imports the standard library and
// the packages of ops/kern.
package attn
