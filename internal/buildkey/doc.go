// Package buildkey gives a build its content address, the [Key], and decides
// whether an image that a registry holds under it is used again.
//
// Two builds with one key have the same inputs, down to the digests of the
// images that they start from. Their images can still differ: a RUN line may
// fetch what changes. That is why images expire, see [Policy].
//
// The key protects from mistakes, not from whoever may push: the image under
// the tag of a key is what the last writer of that tag put there. Everything
// here is a pure function.
package buildkey
