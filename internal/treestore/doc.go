// Package treestore keeps the indexes of layers (package treeindex) in the repository
// of the images that they help.
//
// An index is an ordinary image, which every registry takes and every clean-up rule
// deletes: one layer, a gzip compressed tar of one file, under a tag that follows from
// the digest of the layer that it tells of. The same layer gives the same image, byte
// for byte, for one version of Go's compression.
//
// What is read is hostile: it is bounded, and is taken for an index of that layer only
// where it is one, to the byte. That it tells the truth of the layer nobody knows:
// whoever may push to the repository can forge it, as they can what any of its tags
// holds. Gates let no build push under such a tag.
package treestore
