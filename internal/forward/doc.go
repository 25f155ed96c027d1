// Package forward lets ports of this network namespace lead to services elsewhere:
// a job without a container runs its steps in the runner container, which shares
// the network with kiln's, and they reach services at localhost.
//
// # Guarantees
//
// A port is listened at on 127.0.0.1 and on ::1 alone, where there is IPv6: nobody
// outside the pod reaches a service through it. All ports are open when [Open]
// returns, or none. A TCP connection is one to the service, half-closed as either
// side half-closes it; one that the service does not take is reset. A UDP client
// has a port of its own towards the service, so that answers find it, for
// [idleUDP] after the last datagram. [Forwarder.Close] ends all of it and returns
// when nothing runs any more.
//
// # Bounds
//
// Steps are hostile: connections and UDP clients are at most maxOpen each for one
// port, maxConnections and maxClients for all; further connections wait, and datagrams
// of further clients are dropped.
package forward
