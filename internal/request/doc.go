// Package request carries one container step from the shim's request to its
// result: it reads the staged context, has its image built, runs the action, and
// writes how that ended.
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
// The context is the package's own; [kiln/internal/imagebuild] goes from preflight to
// build, and [kiln/internal/actionrun] does the rest. Neither knows of the other, nor
// of requests.
//
// # Guarantees
//
// The daemon works on bytes that workflow code cannot change any more: the
// context is copied first and only the copy is used. Whatever ends a step, its Secret is
// deleted before the result is written, and all else that it made in the cluster too,
// but for the Job of an action that has ended by itself and its pod: they are deleted
// while the shim reads, before anything is made for another step of this runner.
//
// A step outlives the daemon that runs it: the one that comes after goes on from what
// the state has of it and what the cluster holds. What is kept says no more than the
// step's log does, which is published before it, and nothing is deleted before it is
// kept how the step ended.
//
// # Not guaranteed
//
// A step whose action's Job or pod was deleted meanwhile fails: an action is not run
// twice. What the log says between two things that are kept can be said in other words
// after a restart.
package request
