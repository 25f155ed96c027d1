// Package service says what the services of a job are in a cluster: by which names
// they are found, which of them can share a pod, what their containers are, and
// what their health checks have found so far.
//
// The functions are pure. They promise what a GitHub-hosted machine does with
// Docker, as far as pods have it:
//
//   - A service is found by its id in the workflow, by --name, --hostname and
//     --network-alias, and by the last element of its image's name; where two claim
//     a name, the first has it, with a warning where the author wrote the name.
//   - Services that listen at different ports share one network namespace. Those
//     that would want one port get pods of their own ([Alone]). All find each other
//     by name, in their own pod as soon as they start and elsewhere once all pods
//     of the job run ([Hosts]).
//   - No port of a node is ever taken.
//   - A service that has a health check is ready when that has passed twice in a
//     row, and unhealthy when it has not within the time that the author's
//     counters give: start period, and retries times interval and timeout. A
//     service without one is ready when it has run for two seconds.
//
// # Health
//
// A health check is the kubelet's readiness probe, and not one by an agent around
// the service's own process: a probe runs the author's command in the container as
// Docker does, as its user, in its directory, with its environment; it works for
// every image, also for one whose configuration nobody here can read, which a
// wrapper must know to start the image's own program; and it needs no right in the
// cluster. What it costs is that its shortest period is a second, and that what it
// printed is known from Events alone. It runs more often than the author asked, so
// that a service that is up is seen soon, and two successes are wanted, since some
// images start a first server that goes again (postgres, mysql).
//
// # Not guaranteed
//
// A step's own server in a job container shares the ports of the services beside
// it. A service in a pod of its own that looks for another one right at its start, and
// only then, may be too early, as it may be with Docker, which starts one service after
// the other.
package service
