// Package tiling decides how a picture of any size becomes square tiles for a
// vision tower ("dynamic resolution"): which grid is chosen, to what size the
// picture is resized, where it lies on the canvas and in which order tiles
// follow. It is geometry only: sizes in, sizes out, no pixels. Package img
// cuts pictures along a [Layout].
//
// # Rules
//
//   - [BlueLM]: relaxed aspect ratio matching (BlueLM-V-3B, arXiv 2411.10640,
//     algorithm 1).
//   - [LLaVANext]: the canvas that keeps most pixels, then wastes least
//     (LLaVA-NeXT's select_best_resolution).
//   - [InternVL]: the grid of the closest aspect ratio (InternVL 1.5's
//     dynamic_preprocess).
//   - [Idefics3]: longest edge to a fixed length, then up to whole tiles
//     (Idefics3 and SmolVLM).
//   - [Single]: one tile, stretched (SigLIP, LLaVA 1.5) or cropped (CLIP).
//
// [Default] gives the published settings of each; [BlueLMV] those of the
// BlueLMVImageProcessor that this project's demo model was trained with.
//
// # Exactness
//
// A grid that differs from training's for even a few sizes gives a model
// pictures it has never seen, so every rule repeats its reference's arithmetic
// operation by operation: LLaVA-NeXT and the paper truncate a float64 product
// w*scale, the demo model's processor divides integers. [Config].Integer tells
// them apart; neither is more right than the other. Explicit float64
// conversions keep compilers from fusing a product with a following sum, so
// that all machines choose alike.
//
// Values are plain data, functions are pure and safe for concurrent use. The
// package imports models/img/resample (for the name of a filter) and the
// standard library.
package tiling
