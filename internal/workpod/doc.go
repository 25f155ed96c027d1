// Package workpod has what the pods have in common that share the runner's work
// volume: where they run, what they mount of it, and how a container gets an
// environment whose values stand in no pod.
//
// The functions are pure. A value of an environment is in a Secret and nowhere else,
// whole, and the kubelet expands nothing in it. What is mounted of the work volume
// lies in it: a path that leads out is none of it.
package workpod
