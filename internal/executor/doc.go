// Package executor tells which Kaniko builds, and what an operator can set of it: the
// words that settings, the support table of Dockerfiles and the build pod share.
//
// It is the ground floor: it makes no pod and reads no Dockerfile, and importing it
// brings neither.
package executor
