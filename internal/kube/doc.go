// Package kube is the client of the Kubernetes API that kiln speaks with: the kinds and
// verbs that it uses, and nothing else. client-go's own client set links and registers
// every kind of every API group, which is most of a small program's size, of the memory
// that it holds idle, and of the time that its tests take to link.
//
// Requests, errors and retries are those of k8s.io/client-go/rest, and so is what they
// say. The package remembers nothing: what is read twice is asked for twice. Package
// kubetest has the counterpart for tests.
package kube
