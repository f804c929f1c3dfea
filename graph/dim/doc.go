// Package dim holds symbolic dimensions: integers that are affine expressions
// of named, bounded symbols, such as
//
//	past+chunk    tiles*196    (w-14)/14+1
//
// where / is floor division by a positive constant. An expression is kept in
// a normal form, so that two expressions that are equal as written out are
// Equal. Names alone could not type a patch grid or a concatenated cache.
//
// A [Symbol] bounds a name and may list buckets, the values for which a
// device with static shapes compiles.
//
// Package dim imports nothing but the standard library. Its values are
// immutable and safe for concurrent use.
package dim
