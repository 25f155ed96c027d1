// Package runnerpod tells what the pod that a runner and kiln's sidecar share says of
// itself: whom kiln's objects belong to, where they run, and what they inherit.
//
// # Guarantees
//
// A runner pod that actions cannot share a work folder with is refused, with what to
// set up otherwise: no part of a claim is taken for the whole.
//
// # Not guaranteed
//
// The pod is read once. What is changed of it afterwards is not seen.
package runnerpod
