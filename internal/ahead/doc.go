// Package ahead holds what is built before a step asks for it to its place: behind all
// that steps need.
//
// [Builds] are the builds of the wishes of one job, and end with it, or once a step brings
// the same Dockerfile, unless it follows the build; see [kiln/internal/spool.Wish].
// [Pods] is the cluster as both have it: where a pod of this runner finds no room, for a
// quota or on the nodes, the wishes of the job are over, and the pod of a step is tried
// again while theirs go.
//
// # Not guaranteed
//
// Where the events of the namespace cannot be read, nothing is heard of the pod of an
// action, which its Job makes, and of a pod that finds no node. Runners do not make room
// for each other.
package ahead
