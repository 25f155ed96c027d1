// Package podtest is a cluster and a registry in memory, for tests of what makes,
// watches, reads and deletes pods.
//
// A [Cluster] holds the objects of one namespace and answers the requests that
// kiln makes of an API server, and no others: pods, Jobs and Secrets are created,
// read, listed, watched, patched and deleted, logs are followed, events listed. A
// [Client] is the client of the product itself, [podrun.Client], whose requests do
// not leave the process: what the product repeats, waits for and puts into words is
// the product's in tests too. Only Attach, which upgrades its connection, is a
// double here; over HTTP it is the product's.
//
// What runs in a pod is a [Life]: a function that starts the containers, prints,
// takes the input and ends, as the kubelet would report it. Without one a pod stays
// pending.
//
// A [Faults] call-back sees each request of a client before the cluster does and
// says what becomes of it: a refusal, a connection that breaks, no answer at all,
// and each of them before or after the request has had its effect. What happens to
// the cluster behind a client's back (an object goes, watches expire, a log breaks
// off) are methods of Cluster and Life; a call-back may call them.
//
// A [Registry] holds images in the same way, and the product's client looks them up.
//
// Everything waits on channels and for the clock alone, so that it works in a bubble
// of [testing/synctest], where timeouts cost nothing. The cluster can also be served
// over HTTP to another process: it is an [net/http.Handler].
//
// What is copied from the API server, and held to it by the tests of this package:
//
//   - a name is free when its holder is gone, not when it is being deleted
//   - a pod that was never scheduled goes at once, others after their grace, and at
//     once where the grace is 0 or every container has ended
//   - preconditions on UID and resource version are a conflict where they differ, and
//     so is a patch with another UID
//   - a strategic merge patch adds to the owners and takes single ones out
//   - a dry run admits and stores nothing
//   - a watch begins after the resource version that it names, or is told that it has
//     expired
//   - a Job fails once its pod is gone, and gets no other
//   - an object goes with the last of its owners ([Cluster.Collect])
//
// What is not there: defaults of the API server, authorization, other namespaces,
// the scheduler. Times have the API's precision of a second where the API has it.
package podtest
