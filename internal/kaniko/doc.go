// Package kaniko knows the Kaniko executor: the pod that runs it, the flags it
// gets, and what its log means.
//
// [Pod] is pure. The pod has two containers that run side by side. The kaniko
// container executes a Dockerfile that nobody trusts, and a RUN step shares
// everything with the executor, so it has no credential: no Secret, no token.
// Its one volume has its first process, package buildinit, for reading. The gate
// container, which puts that there, holds the registry's credentials and proxies
// for it on 127.0.0.1. The pod passes Pod Security "baseline".
//
// Everything that is read from the log is what a Dockerfile can forge. It
// words and classes a failure for the build's author. The most that a class
// grants is another attempt, and whoever makes one counts.
//
// Flags and texts are those of
// https://github.com/chainguard-dev/kaniko v1.25.16 and
// https://github.com/osscontainertools/kaniko v1.28.
package kaniko
