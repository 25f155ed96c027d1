// Package steplog composes the log that the author of a step reads, and knows
// where in the author's files something happened and how long the parts of a step
// took.
//
// # Guarantees
//
// What a build prints between Shield and Unshield drives nothing: the runner
// executes no workflow command there (GitHub Docs, "Stopping and starting workflow
// commands"), and the token that ends it cannot be guessed. An error is one
// ::error:: line, which gets through whatever an action has stopped; it carries a
// place only where the file is one of the author's own repository.
//
// # Not guaranteed
//
// What an action itself writes is passed on as it is. Lines of several goroutines
// have no order among each other; none is torn.
package steplog
