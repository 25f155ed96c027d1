// Package preflight reads a Dockerfile before anything is built: it reports
// syntax errors with file and line, and lists the external images that the
// build will ask for.
//
// The Dockerfile is hostile input that is read in a trusted process, so the
// work is bounded: the file, the number of instructions, every value that an
// ARG expands to and all of them together. A Dockerfile that goes beyond a
// bound is refused with an [Error], as is one that Docker's parser refuses.
//
// Parsing and expansion are BuildKit's own. The package does not say whether a
// builder supports what the Dockerfile uses, does not look at ONBUILD triggers
// of base images, and does not expand anything inside a stage: only FROM may
// name an image through an ARG.
package preflight
