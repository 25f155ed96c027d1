package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// fresh are the action's files with one that no build has seen, so that the
// image is built.
func (b *bench) fresh() harness.Files {
	files := maps.Clone(b.files)
	files[runner.ActionDir(b.use().Uses)+"/round"] = harness.File{Data: []byte(time.Now().String())}
	return files
}

// reused plays the action with the files of the last cold build.
func (b *bench) reused(ctx context.Context, files harness.Files) (time.Duration, error) {
	result, err := b.play(ctx, b.action.Step(harness.Main, b.use()), files)
	if err != nil {
		return 0, err
	}
	if !strings.Contains(result.Log, "kiln: reused (") {
		return 0, fmt.Errorf("the image was not reused:\n%s", result.Log)
	}
	return result.Duration, nil
}

// large is a build on a base with a file system of its own, and what it cost.
type large struct {
	took time.Duration
	// peak is the most memory that the executor held until the last RUN, in
	// bytes, as the kernel counts its resident pages (VmHWM, proc(5)).
	peak int64
	// sent and received are the bytes that crossed the runner pod's link: to
	// and from the API server, but for a few look-ups of the registry.
	sent, received int64
	// context is what was sent to build, in bytes.
	context int
}

// largeDockerfile has four RUN lines on a Debian base, the last of which shows
// what the processes of its container have needed so far. The executor's is the
// most.
const largeDockerfile = `FROM debian:bookworm-slim
COPY data /data
RUN cp -r /usr/share /opt/share
RUN echo one > /opt/one
RUN echo two > /opt/two
RUN grep -h VmHWM /proc/[0-9]*/status
ENTRYPOINT ["true"]
`

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// largeBuild plays one such build, cold.
func (b *bench) largeBuild(ctx context.Context) (large, error) {
	dir := runner.ActionDir("acme/large@v1")
	data := make([]byte, 1<<20) // that no compression makes smaller
	if _, err := rand.Read(data); err != nil {
		return large{}, err
	}
	files := harness.Files{
		dir + "/Dockerfile": {Data: []byte(largeDockerfile)},
		dir + "/data":       {Data: data},
	}
	sent, received, err := b.traffic(ctx)
	if err != nil {
		return large{}, err
	}
	result, err := b.play(ctx, runner.Step{Repository: "acme/app", Dockerfile: dir + "/Dockerfile"}, files)
	if err != nil {
		return large{}, err
	}
	peak, err := peakMemory(result.Log)
	if err != nil {
		return large{}, err
	}
	l := large{took: result.Duration, peak: peak, context: len(data) + len(largeDockerfile)}
	sentAfter, receivedAfter, err := b.traffic(ctx)
	l.sent, l.received = sentAfter-sent, receivedAfter-received
	return l, err
}

// peakMemory is the most that a process of the build says in its log that it
// needed, in bytes.
func peakMemory(log string) (int64, error) {
	most := int64(0)
	for _, found := range peakLine.FindAllStringSubmatch(log, -1) {
		peak, err := strconv.ParseInt(found[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the build's memory: %w", err)
		}
		most = max(most, peak<<10)
	}
	if most == 0 {
		return 0, fmt.Errorf("the build says nothing of its memory:\n%s", log)
	}
	return most, nil
}

// traffic reads how many bytes the runner pod has sent and received so far. The
// stand-in's own come on top: the files of a step, and its log.
func (b *bench) traffic(ctx context.Context) (sent, received int64, err error) {
	out, err := b.runner.Run(ctx, "cat", "/proc/net/dev")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(out) {
		name, counters, found := strings.Cut(line, ":")
		fields := strings.Fields(counters)
		if !found || strings.TrimSpace(name) != "eth0" || len(fields) < 9 {
			continue
		}
		received, err = strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		sent, err = strconv.ParseInt(fields[8], 10, 64)
		return sent, received, err
	}
	return 0, 0, errors.New("the runner pod has no eth0")
}

// print writes what the large build cost.
func (l large) print(w io.Writer) {
	fmt.Fprintf(w, "Debian base, 4 RUN lines, cold: %.1f s; executor's peak memory %.0f MiB\n", l.took.Seconds(), mib(l.peak))
	fmt.Fprintf(w, "runner pod's traffic in that step: %.2f MB sent, %.2f MB received, for a context of %.2f MB\n",
		float64(l.sent)/1e6, float64(l.received)/1e6, float64(l.context)/1e6)
}
