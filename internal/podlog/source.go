package podlog

import (
	"context"
	"io"
	"time"
)

// Source is the log and the life of one container, as an API server gives them.
// Its methods are called concurrently.
type Source interface {
	// Open opens the log where the lines of since begin, in whole seconds of the
	// node's clock, or at its beginning for the zero time. Before each line stands
	// its time as RFC 3339 with nanoseconds and a space. With follow the stream
	// goes on as the container prints; without, it ends at the present end. It is
	// the newest file of the log that is read, and the stream ends with ctx.
	Open(ctx context.Context, since time.Time, follow bool) (io.ReadCloser, error)
	// Watch calls changed with the container's present state and again after every
	// change, one call at a time, until changed is done or ctx ends. Any other end
	// is an error: nothing more will be known of the container.
	Watch(ctx context.Context, changed func(State) (done bool)) error
	// Final reports whether an error of Open stays the same however often it is
	// asked for again, as that of a missing right or of a pod that is gone.
	Final(err error) bool
}

// State is what has to be known of a container to read its log.
type State struct {
	// Ran: its process was started at some time, so there is a log.
	Ran bool
	// Begun is when it was started, in whole seconds of the node's clock; zero
	// where nobody knows.
	Begun time.Time
	// Over: it has ended or never will run.
	Over bool
}
