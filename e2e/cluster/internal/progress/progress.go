// Package progress prints what the program is doing, each line with the time
// since it started, so that a person can tell a long compile from a hang.
//
// A Printer may be used from several goroutines. It writes plain lines, never
// terminal control sequences: the same output is right for a log file.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Printer writes lines with the elapsed time in front.
type Printer struct {
	mu    sync.Mutex
	w     io.Writer
	start time.Time
}

// New returns a Printer whose clock starts now.
func New(w io.Writer) *Printer { return &Printer{w: w, start: time.Now()} }

// Printf writes one line.
func (p *Printer) Printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "[%6s] %s\n", p.Elapsed(), fmt.Sprintf(format, args...))
}

// Elapsed is the time since New, to the second.
func (p *Printer) Elapsed() time.Duration {
	return time.Since(p.start).Round(time.Second)
}

// During prints that something has begun, that it still goes on every
// interval, and, when the returned function is called, that it ended and how
// long it took. The hint says how long it usually takes and may be empty.
func (p *Printer) During(what, hint string, interval time.Duration) (end func(error)) {
	begun, stop := time.Now(), make(chan struct{})
	if hint != "" {
		hint = " (" + hint + ")"
	}
	p.Printf("%s%s", what, hint)
	var done sync.WaitGroup
	done.Go(func() { p.repeat(what+hint, begun, interval, stop) })
	return func(err error) {
		close(stop)
		done.Wait()
		took := time.Since(begun).Round(100 * time.Millisecond)
		if err != nil {
			p.Printf("%s: failed after %s", what, took)
			return
		}
		p.Printf("%s: done in %s", what, took)
	}
}

func (p *Printer) repeat(what string, begun time.Time, interval time.Duration, stop <-chan struct{}) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			p.Printf("%s: %s so far", what, time.Since(begun).Round(time.Second))
		}
	}
}
