package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// table prints the medians. The bare way is what kiln replaces: one Kaniko pod
// until its exit code is known, then one pod with the new image until its is.
func (b *bench) table(w io.Writer, rounds int) {
	bare := median(b.times[kanikoEnd]) + median(b.times[freshEnd])
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "\nmedian of %d rounds\tseconds\tof bare build + run\n", rounds)
	for _, name := range []string{bareLog, bareEnd, kanikoLog, kanikoEnd, freshLog, freshEnd, readyLog, readyEnd, kilnCold, kilnReady, kilnReused, kilnAhead, jobStart, hookStart} {
		row(tw, name, median(b.times[name]), bare)
	}
	row(tw, "bare build + run: Kaniko pod and then action pod, each to terminated seen", bare, bare)
	row(tw, "kiln's own overhead: kiln, cold − bare build + run", median(b.times[kilnCold])-bare, bare)
	row(tw, "kiln's own overhead with an image on the node: over the bare action pod", median(b.times[kilnReady])-median(b.times[readyEnd]), bare)
	row(tw, "reuse: Dockerfile built before − image on the node", median(b.times[kilnReused])-median(b.times[kilnReady]), bare)
	for _, name := range jobRows() {
		row(tw, name, median(b.times[name]), bare)
	}
	fmt.Fprintf(tw, "20 s after the job's start over Dockerfile built before, times\t%.2f\t\n", median(b.times[kilnAhead]).Seconds()/median(b.times[kilnReused]).Seconds())
	fmt.Fprintf(tw, "a step over its fork\t%.4f\t\n", (median(b.times[stepTrue]) - median(b.times[forkTrue])).Seconds())
	fmt.Fprintf(tw, "pods/exec over a step, times\t%.0f\t\n", median(b.times[execTrue]).Seconds()/median(b.times[stepTrue]).Seconds())
	fmt.Fprintf(tw, "pods/exec from a process of its own over a step, times\t%.0f\t\n", median(b.times[execProcess]).Seconds()/median(b.times[stepTrue]).Seconds())
	fmt.Fprintf(tw, "50 MB: speed of a step, of a fork's\t%.2f\t\n", median(b.times[fork50]).Seconds()/median(b.times[step50]).Seconds())
	fmt.Fprintf(tw, "prepare_job over a bare pod running\t%.3f\t\n", (median(b.times[jobPrepared]) - median(b.times[bareRunning])).Seconds())
	if err := tw.Flush(); err != nil {
		fmt.Fprintln(w, err)
	}
}

func row(w io.Writer, name string, took, bare time.Duration) {
	fmt.Fprintf(w, "%s\t%.4f\t%.2f\n", name, took.Seconds(), took.Seconds()/bare.Seconds())
}
