// Package failure is the closed set of reasons for which a step can fail, and
// the error that carries one.
//
// A reason is a stable name: a label of metrics, a word in documentation, the
// base of the decision to try again. What its error says is for the step's
// author. A reason never grants anything: a Dockerfile can forge what it is
// read from, so whoever tries again has to count.
package failure
