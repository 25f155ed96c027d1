// Package event writes Kubernetes Events on the runner pod: what kiln does for
// its steps, for whoever describes the pod.
//
// The right to create events is optional. Where it is missing, that is
// remembered, and nothing is sent again. An event is a courtesy: none is sent
// twice, no step waits for one, and an error is told to nobody.
//
// Messages hold nothing that workflow code chose.
package event
