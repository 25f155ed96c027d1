package agent

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// CallCommand is the first argument with which the program that calls [Serve] tries a
// socket of another agent, and has to call [TryDoor].
const CallCommand = "call"

// How long the other agent may take to listen, and the pause between two tries.
const (
	tryLimit = 10 * time.Second
	tryPause = 100 * time.Millisecond
)

// TryDoor calls at the socket that args has alone, says on out what came of it, and
// removes the socket. It returns an exit code, 0 where an agent answers.
func TryDoor(args []string, out io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintln(out, "kiln-agent: "+CallCommand+" wants the path of a socket")
		return 2
	}
	defer os.Remove(args[0])
	ctx, cancel := context.WithTimeout(context.Background(), tryLimit)
	defer cancel()
	for {
		welcome, err := Door{Socket: args[0]}.Probe(ctx)
		switch {
		case err == nil && welcome.Descriptors:
			return 0
		case err == nil:
			fmt.Fprintln(out, "the descriptor of a pipe does not arrive: SELinux may take it")
			return 1
		}
		select {
		case <-ctx.Done():
			fmt.Fprintln(out, err)
			return 1
		case <-time.After(tryPause):
		}
	}
}
