// Package assemble puts the rest of a Dockerfile on the image of its base part, as
// BuildKit would, without running anything.
//
// [Assemble] takes the rest that package split has found, the tree below it and a list
// of the build context, and says what comes on top. [Image.WriteLayer] writes that as
// one layer, [Image.Config] and [Manifest] the documents of the image. It is pure but
// for the reading of the context's files, and deterministic: the same input gives the
// same bytes, for one version of Go's compression.
//
// COPY, ADD, WORKDIR and the plainest "RUN chmod" change the tree; all other instructions
// change the configuration. The rules are those of BuildKit 0.34: dispatch in
// dockerfile2llb, the file operations of its solver, the copy of tonistiigi/fsutil, and
// moby/go-archive 0.2 for archives, which [Archives] lists. Where these fail, or where it is not certain what they would
// do, the error is of type [*split.Unsure], and then the whole is built as one.
//
// Two things are not Docker's. Every modification time but those of archives is
// [buildcontext.Time], as in all contexts, which have no times and no hard links. And all instructions make one
// layer together: the history has an entry for each, of which the last that changes
// the tree stands for the layer.
//
// The context and what its Dockerfile says are hostile; work on them is bounded.
package assemble
