package servicerun

import (
	"context"
	"time"

	"kiln/internal/jobrun"
	"kiln/internal/spool"
)

const (
	// logLines and logBytes bound what is printed of a service's log: its end.
	logLines = 2000
	logBytes = 1 << 20
	// otherLines is what is printed of each service that has not failed where another
	// one has: what they had to do with each other stands at their ends.
	otherLines = 200
	// logTime is what the logs of a job's services may take to read.
	logTime = 5 * time.Second
)

// showLog prints the log of a service that has just failed, and notes that it did.
func (b *begun) showLog(ctx context.Context, s *planned) {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	for i := range b.record.Services {
		kept := &b.record.Services[i]
		if kept.Pod == s.pod && kept.Container == s.Named.Container && !kept.Told {
			kept.Told = true
			b.runner.showLog(ctx, b.of.Call, *kept, "Service container "+kept.Title, logLines)
		}
	}
}

// showOthers prints the ends of the logs of the services whose were not printed, since
// the job fails and they go with it. A job that is cancelled waits for none.
func (b *begun) showOthers(ctx context.Context) {
	if ctx.Err() == nil {
		b.runner.showLogs(ctx, b.of.Call, b.record.Services, otherLines)
	}
}

// showLogs prints the last lines of the logs of the services of a job that ends, as far
// as they can be read in the time that all have together.
func (r *Runner) showLogs(ctx context.Context, call jobrun.Call, services []spool.KeptService, lines int64) {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	for _, kept := range services {
		if !kept.Told {
			r.showLog(ctx, call, kept, "Print service container logs: "+kept.Title, lines)
		}
	}
}

// showLog prints the log of one service, once in a call, whatever restarts. Nothing in it
// is a command to the runner.
func (r *Runner) showLog(ctx context.Context, call jobrun.Call, kept spool.KeptService, title string, lines int64) {
	text, err := r.options.Pods.Tail(ctx, kept.Pod, kept.Container, lines, logBytes)
	if err != nil {
		call.Log.Debug("the log of the service %s cannot be read: %v", kept.Title, err)
		return
	}
	call.Log.Quote(title, text)
}
