// Package forwarder forwards ports in a process of its own, so that the connections of
// steps to services outlive the daemon's worker: [Serve] is that process, and [Client]
// what the worker has of it.
//
// # Guarantees
//
// A forwarder whose ports were not kept ([Client.Keep]) ends with the worker that began
// it: nobody knows of it. One that was kept ends when it is told to ([Client.Close], of
// this worker or a later one), or with the supervisor, whose lifeline it holds. While a
// worker runs, a forwarder that ended by itself is begun again; its connections are lost.
//
// # Between the two
//
// The worker writes an order to the forwarder's standard input, a line of JSON, and reads
// an answer from its output. A line "keep" follows when the ports are noted. From then on
// the forwarder listens at a Unix socket in the daemon's state, which no other container
// sees: a byte there tells it to end, and a connection ends when it has.
package forwarder
