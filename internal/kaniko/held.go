package kaniko

import (
	"strings"
	"time"
)

// Bounds on the lines that wait for the step that they belong to.
const (
	maxHeld  = 256 << 10 // bytes
	heldCost = 128       // bytes that a line takes besides its text
	longHeld = time.Second
)

// held is output that arrived while no RUN's process was known to run. What a
// RUN prints and what the executor says of it come by two streams, and either
// may be ahead of the other: the output belongs to the RUN whose end or start
// is nearer in time.
type held struct {
	lines []heldLine
	bytes int
	run   progressStep // the RUN whose process ran last
	ended time.Time    // when that process had ended
}

// heldLine is one line, when it arrived, and the step that was under way.
type heldLine struct {
	text  string
	at    time.Time
	under progressStep
}

// cost is how much of the bound a line uses up.
func (l heldLine) cost() int { return len(l.text) + heldCost }

// add holds a line back. The text is cloned: it may be the end of a much longer
// one.
func (h *held) add(text string, at time.Time, under progressStep) {
	line := heldLine{text: strings.Clone(text), at: at, under: under}
	h.lines = append(h.lines, line)
	h.bytes += line.cost()
}

// late returns, for the RUN that has ended, the lines that are nearer to its
// end than the present is to them. Where no RUN has run they wait for a second.
func (h *held) late(now time.Time) []string {
	n, rest := 0, h.bytes
	for ; n < len(h.lines); n++ {
		limit := longHeld
		if h.run.number > 0 {
			limit = h.lines[n].at.Sub(h.ended)
		}
		if now.Sub(h.lines[n].at) <= limit && rest <= maxHeld {
			break
		}
		rest -= h.lines[n].cost()
	}
	return h.take(n)
}

// take returns the first n lines as output of the RUN that ran last, if any.
func (h *held) take(n int) []string {
	var shown []string
	for _, line := range h.lines[:n] {
		by := h.run
		if by.number == 0 {
			by = line.under
		}
		shown = append(shown, by.output(line.text, line.at))
		h.bytes -= line.cost()
	}
	clear(h.lines[:n]) // or the array would keep their texts
	h.lines = h.lines[n:]
	return shown
}

// begin says that the process of run has started: what is held is its output.
func (h *held) begin(run progressStep) []string {
	h.run = run
	return h.take(len(h.lines))
}
