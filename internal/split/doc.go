// Package split decides which part of a Dockerfile has to run in a builder, and
// which part can be put on top of that part's image without running anything.
//
// What is built is looked at as one chain of instructions: those of the stage that
// the last one goes back to, the ONBUILD triggers that come in front of each, up to
// the last instruction of the last stage. The base part ends with the last of them
// that runs something; the rest are instructions whose result follows from the tree
// below them, the build context and the Dockerfile alone. A base part that runs
// nothing is the base image itself, or nothing for scratch.
//
// RUN, ADD of what is not in the context, ADD of archives that cannot be listed in full,
// COPY --from and every instruction that is not known run something. A "RUN chmod" of
// the plainest form may belong to the rest (see [Step.Chmod]): whether it does, only the
// tree below it tells, so who finds that it does not asks again with [Input.NoChmod].
//
// A base part is sent as a Dockerfile that is cut behind its last instruction, so
// that what is sent and what a key binds can be the same, with those entries of the
// context alone that its own COPYs and ADDs name. The entries may be more than those
// that are copied, never fewer: the stages that nothing uses are in what is sent, and
// count unless they are certainly not built ([Input.Skips]).
//
// [Decide] is pure. The Dockerfile and the triggers are hostile, and bounded as
// package preflight bounds them; values of variables are bounded here again, since
// those of a base image come in. What goes beyond a bound, or is not understood for
// certain, is [Unsure], and then the whole is built as one.
package split
