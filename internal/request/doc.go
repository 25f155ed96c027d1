// Package request carries one container step from the shim's request to its
// result: it reads the staged context, has the Dockerfile built, runs the
// action, and composes the log that the step's author reads.
//
// # Phases
//
//	context    the staged context is read once and written as kiln's own tar
//	preflight  the Dockerfile is read, and refused where Kaniko would fail it
//	lookup     the registries are asked for the bases and for the image
//	schedule   the build pod's containers start
//	build      the context is sent, Kaniko builds and pushes
//	start      the action's Job gets a running pod
//	run        the action runs
//
// Whatever ends a step, its Job, pods and Secret are deleted before the result
// is written, with a context of their own, so that a cancelled step leaves
// nothing behind.
//
// # Guarantees
//
// The daemon works on bytes that workflow code cannot change any more: the
// context is copied first and only the copy is used. The image that runs is
// named by the digest that the gate reported, never by one that the build
// printed. A pod that vanishes is a failure, never a success.
//
// # Not guaranteed
//
// A step does not outlive the daemon that runs it: after a restart it fails
// with one clear line.
package request
