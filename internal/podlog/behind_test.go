package podlog

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// node is one that writes a log faster than it hands it out, and rotates its file
// as the kubelet does: every ten seconds, unread or not. A stream of it has one
// file; at the end of one that was rotated it waits until the container has ended.
type node struct {
	start    time.Time
	files    []*logFile
	pace     time.Duration // between two lines of one stream
	finished time.Time
}

// period is how often the kubelet looks at the size of a log.
const period = 10 * time.Second

// newNode is a node with that many whole files.
func newNode(start time.Time, files, linesPerSecond int, pace time.Duration) *node {
	n := &node{start: start, pace: pace, finished: start.Add(time.Duration(files) * period)}
	step := time.Second / time.Duration(linesPerSecond)
	for i := range files {
		f := &logFile{}
		line := strings.Repeat("x", 999) + "\n"
		f.write(start.Add(time.Duration(i)*period), step, 16<<10, []byte(strings.Repeat(line, int(period/step))))
		n.files = append(n.files, f)
	}
	return n
}

// newest is the file that is written now.
func (n *node) newest() *logFile {
	i := int(time.Since(n.start) / period)
	return n.files[min(i, len(n.files)-1)]
}

// paced is one open file, which is handed out at the node's pace.
type paced struct {
	io.Reader // never used
	node      *node
	file      *logFile
	at        int
	since     time.Time
	follow    bool
	rest      []byte
}

func (p *paced) readUntil(ctx context.Context, out []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.at == len(p.file.entries) {
			if !p.follow || time.Now().After(p.node.finished) {
				return 0, io.EOF
			}
			if err := await(ctx, 100*time.Millisecond); err != nil {
				return 0, err
			}
			continue
		}
		e := p.file.entries[p.at]
		switch wait := time.Until(e.at); {
		case wait > 0 && !p.follow:
			return 0, io.EOF
		case wait > 0:
			if err := await(ctx, wait); err != nil {
				return 0, err
			}
		case !e.at.Before(p.since):
			if err := await(ctx, p.node.pace); err != nil {
				return 0, err
			}
		}
		r := reader{since: p.since}
		p.rest = r.render(e)
		p.at++
	}
	n := copy(out, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// TestFollowBehind reads logs that their node writes faster than it hands them out.
// Every file has to be open before it is rotated away, however far behind the
// reading is.
func TestFollowBehind(t *testing.T) {
	for name, tt := range map[string]struct {
		files, linesPerSecond int
		pace                  time.Duration
	}{
		"as fast":        {3, 500, 1950 * time.Microsecond},
		"a third slower": {6, 500, 3 * time.Millisecond},
		"half as fast":   {4, 500, 4 * time.Millisecond},
		"far behind":     {3, 500, 12 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(time.Now(), tt.files, tt.linesPerSecond, tt.pace)
				most := 0
				var c *container
				c = newContainer(State{Ran: true, Begun: n.start}, func(_ int, since time.Time, follow bool) (io.Reader, error) {
					c.mu.Lock()
					defer c.mu.Unlock()
					most = max(most, c.opened+1)
					return &paced{node: n, file: n.newest(), since: since, follow: follow}, nil
				})
				time.AfterFunc(time.Until(n.finished), c.ends)
				got, err := collect(t.Context(), t, c)
				var want strings.Builder
				for _, f := range n.files {
					want.Write(f.bytes())
				}
				if err != nil || got != want.String() {
					t.Errorf("log of %d bytes came out as %d bytes with %d gaps, error = %v", want.Len(), len(got), strings.Count(got, "?"), err)
				}
				if most > 1+maxSpares {
					t.Errorf("%d streams were open", most)
				}
			})
		})
	}
}
