// Package spool is the contract between the hook shim and the daemon: a
// directory that both see, the exchange, and a directory of the daemon's own,
// the state.
//
// # Exchange
//
//	tmp/<id>/          the shim's, while it stages a request
//	requests/<id>/     the shim's: request.json, context.tar, lock
//	cancel/<id>        the shim's: the step is cancelled
//	responses/<id>/    the daemon's: <offset>.log, result.json
//	wishes/<id>/       the shim's: wish.json, context.tar
//	daemon.lock        the daemon's: held while it serves the exchange
//	settings.json      the daemon's: limits that a shim may know beforehand
//
// A request appears whole or not at all: it is staged below tmp and renamed.
// One side writes a directory; the other only reads, except that the shim
// deletes log segments that it has printed, and that the daemon clears what a
// vanished shim left. The name of a segment is the offset of its first byte in
// the step's log, in twenty decimal digits, so a segment that is written again
// after a restart is recognized and no byte is printed twice. Names that begin
// with a dot are files and directories on their way to their own name.
//
// # States of a request
//
//	tmp/<id>                       staged; a crash leaves it to the daemon's sweep
//	requests/<id>                  dropped; the daemon claims it at its next scan
//	responses/<id>                 claimed; the log grows
//	responses/<id>/result.json     answered; the shim prints the rest of the log,
//	                               removes requests/<id> and exits
//	requests/<id> gone             the daemon removes responses/<id>
//
// A wish ([Wish]) is dropped in the same way. It has no answer: the daemon takes it out
// of the exchange before it does anything about it, or removes it.
//
// The shim holds an exclusive flock on lock from before the rename until it
// exits. A lock that can be taken means that the shim has vanished.
//
// # Guarantees
//
// No byte of a log is lost or doubled while the exchange lasts, no request is
// seen half-written, and none is answered twice. Everything in the exchange is
// hostile input for the daemon: it opens only regular files with one link that
// it has looked at before, reads at most the limit, never follows a link, and
// walks no tree.
//
// A full disk is an error that says so to both sides. The result still comes
// out: every claim takes the space for it beforehand.
//
// # Not guaranteed
//
// Nothing is synced to disk: the exchange is an emptyDir and dies with its pod.
// Nothing here says who wrote a request: whoever can write the exchange can
// ask for a build.
package spool
