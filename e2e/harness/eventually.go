package harness

import (
	"context"
	"fmt"
	"time"
)

// Eventually asks until the answer is nil, four times a second. When the time is up,
// or ctx ends, it returns the last answer that was not cut off. It is for what nothing
// tells by itself: pods are watched ([Cluster.Await], [Observer.Await]), logs are
// followed ([Cluster.AwaitLog]).
func Eventually(ctx context.Context, within time.Duration, ask func(context.Context) error) error {
	const interval = 250 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var last error
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("within %v: %w", within, last)
		case <-ticker.C:
		}
	}
}
