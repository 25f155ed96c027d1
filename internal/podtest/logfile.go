package podtest

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// logFile is what a container has printed.
type logFile struct {
	entries []entry
	rotated int // of them are in files that the kubelet does not serve any more
	cuts    int // how often all streams were broken off
}

// entry is a piece of a line, with its line feed if it is the last.
type entry struct {
	at   time.Time
	data string
}

// Print writes lines to a container's log.
func (l *Life) Print(container string, lines ...string) {
	l.Write(container, strings.Join(lines, "\n")+"\n")
}

// Write writes text to a container's log; what has no line feed is gone on with.
func (l *Life) Write(container, text string) {
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	log := l.logs[container]
	for _, piece := range strings.SplitAfter(text, "\n") {
		if piece != "" {
			log.entries = append(log.entries, entry{at: time.Now(), data: piece})
		}
	}
	l.cluster.wakeLocked()
}

// CutLog breaks off all streams of a container's log, without an error, as the
// restart of a kubelet does. Whoever asks again gets it.
func (l *Life) CutLog(container string) {
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	l.logs[container].cuts++
	l.cluster.wakeLocked()
}

// Lose writes lines to a container's log that the kubelet rotates away, with all before
// them, while the streams are broken off: nobody reads them.
func (l *Life) Lose(container string, lines ...string) {
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	log := l.logs[container]
	log.entries = append(log.entries, entry{at: time.Now(), data: strings.Join(lines, "\n") + "\n"})
	log.rotated = len(log.entries)
	log.cuts++
	l.cluster.wakeLocked()
}

// stream is one answer to a request for a log.
type stream struct {
	life      *Life
	container string
	follow    bool
	since     time.Time

	next, cuts int
	midLine    bool
}

// log answers a request for a container's log.
func (c *Cluster) log(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	s := stream{container: query.Get("container"), follow: query.Get("follow") == "true"}
	if since := query.Get("sinceTime"); since != "" {
		s.since, _ = time.Parse(time.RFC3339, since) // the zero time is the beginning
	}
	c.mu.Lock()
	err := c.openLocked(&s, r.PathValue("name"))
	c.mu.Unlock()
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	for {
		c.mu.Lock()
		text, ends, wake := s.readLocked(), s.endsLocked(), c.wake
		c.mu.Unlock()
		if _, err := w.Write(text); err != nil {
			return
		}
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		if ends {
			return
		}
		select {
		case <-wake:
		case <-r.Context().Done():
			return
		}
	}
}

// openLocked begins a stream of the log of a pod's container.
func (c *Cluster) openLocked(s *stream, name string) error {
	found, err := c.getLocked("pods", name)
	if err != nil {
		return err
	}
	s.life = c.lives[found.GetUID()]
	log := s.life.logs[s.container]
	if log == nil {
		return badRequest(fmt.Sprintf("container %s is not valid for pod %s", s.container, name))
	}
	if of := s.statusLocked(); of == nil || of.State.Waiting != nil {
		return badRequest(fmt.Sprintf("container %q in pod %q is waiting to start: ContainerCreating", s.container, name))
	}
	s.next, s.cuts = log.rotated, log.cuts
	return nil
}

// statusLocked is the state of the container, nil where there is none.
func (s *stream) statusLocked() *corev1.ContainerStatus {
	pod, ok := s.life.cluster.objects[key{"pods", s.life.name}].(*corev1.Pod)
	if !ok || s.life.left {
		return nil
	}
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == s.container {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
}

// readLocked renders what has come since the last call as the kubelet does with
// timestamps: one where a line begins, and no pieces from before the time asked for.
func (s *stream) readLocked() []byte {
	var out bytes.Buffer
	entries := s.life.logs[s.container].entries
	if s.cuts != s.life.logs[s.container].cuts {
		return nil
	}
	for ; s.next < len(entries); s.next++ {
		e := entries[s.next]
		if !e.at.Before(s.since) {
			if !s.midLine {
				out.WriteString(e.at.Format("2006-01-02T15:04:05.000000000Z07:00") + " ")
			}
			out.WriteString(e.data)
		}
		s.midLine = !strings.HasSuffix(e.data, "\n")
	}
	return out.Bytes()
}

// endsLocked reports whether nothing more comes in this stream.
func (s *stream) endsLocked() bool {
	of := s.statusLocked()
	return !s.follow || of == nil || of.State.Running == nil || s.cuts != s.life.logs[s.container].cuts
}
