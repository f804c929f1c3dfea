// Package norm holds the row kernels of transformers: softmax, layer and RMS
// normalisation, and rotary position embedding.
//
// Every function works on one row (a vector), so that rows can be spread over
// workers; dst may be the source. Sums are float32 with several partial sums.
// It imports the standard library and package kern.
package norm
