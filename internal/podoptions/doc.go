// Package podoptions says what the options and volumes of a job container or a
// service are in a pod: an author writes them for docker create, and a pod has them
// in many places.
//
// The functions are pure. What needs more rights than Pod Security baseline gives
// is refused unless the operator allows it; what a pod cannot have is refused by
// the option's name, and nothing is left out in silence, nor replaced by the operator's
// template ([Replaced]). Errors are the author's to read.
//
// # Volumes
//
// A named volume is space on the node's disk (emptyDir) that all containers of one
// pod share; one without a name is a container's own. A path in the runner's work
// folder is that part of the work volume. No other path of a host is mounted, and
// Docker's socket does not exist. Unlike Docker's, a new volume is empty: what the
// image has at that path is hidden.
package podoptions
