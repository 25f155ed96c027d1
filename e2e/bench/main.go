// Command bench measures what kiln adds to the pods that it runs: it times the
// same Dockerfile built by a bare Kaniko pod, the image run by a bare pod, and
// both by kiln in a runner pod, round after round in one run, and prints the
// medians as a table with their ratios.
//
//	go run ./e2e/bench [--rounds 5]
//
// With --compare it measures two kilns instead: the working tree's and that of an
// earlier revision, in turn, each in a runner pod and a namespace of its own. A
// second namespace with the earlier one shows what comes of chance alone.
//
//	go run ./e2e/bench --compare REVISION [--rounds 5] [--pairs 20]
//
// Either way it measures what kiln has to come to, beside a bare pod and a Docker
// engine, and says which targets hold.
//
// The environment is that of package harness. Only ratios within one run mean
// anything: everything shares the machine with the cluster.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	corev1 "k8s.io/api/core/v1"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// namespace is the bench's own; it is deleted at the end.
const namespace = "kiln-bench"

type cli struct {
	Rounds  int    `help:"Rounds to take the medians of." default:"5"`
	Compare string `help:"Measure the working tree against this revision." placeholder:"REVISION"`
	Pairs   int    `help:"How often each figure is measured of both, after the rounds." default:"20"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == execArgument {
		os.Exit(execAlone(os.Args[2:]))
	}
	var args cli
	kong.Parse(&args, kong.Description("Measures kiln against bare pods."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var err error
	if args.Compare != "" {
		err = compare(ctx, args, os.Stdout)
	} else {
		err = errors.Join(run(ctx, max(args.Rounds, 1), os.Stdout), aim(ctx, args, os.Stdout))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	*harness.Cluster
	namespace string
	// repository is where kiln pushes below the registry; empty is the namespace.
	repository string
	runner     *harness.Runner
	quiet      time.Time // when the daemon last had something to do
	context    []byte    // the bare Kaniko pod's
	files      harness.Files
	action     *harness.Action
	times      map[string][]time.Duration
}

// The measured quantities, in the order of the table.
const (
	bareLog       = "bare pod, true: create → log ends"
	bareEnd       = "bare pod, true: create → terminated seen"
	kanikoLog     = "bare Kaniko pod: create → log ends"
	kanikoEnd     = "bare Kaniko pod: create → terminated seen"
	freshLog      = "bare action pod, image just pushed: create → log ends"
	freshEnd      = "bare action pod, image just pushed: create → terminated seen"
	readyLog      = "bare action pod, image on the node: create → log ends"
	readyEnd      = "bare action pod, image on the node: create → terminated seen"
	kilnCold      = "kiln, cold: hook starts → hook exits"
	kilnReady     = "kiln, image on the node: hook starts → hook exits"
	kilnReused    = "kiln, Dockerfile built before: hook starts → hook exits"
	hookStart     = "kiln-hook: start → exit on a malformed message"
	startSamples  = "20"
	idleSettle    = 3 * time.Second
	actionUnderIt = "hello-shell"
)

func run(ctx context.Context, rounds int, w io.Writer) (err error) {
	b := &bench{namespace: namespace, times: map[string][]time.Duration{}}
	if b.Cluster, err = harness.Connect(); err != nil {
		return err
	}
	images, err := b.BuildImages(ctx)
	if err != nil {
		return err
	}
	if err := b.Namespace(ctx, namespace); err != nil {
		return err
	}
	defer func() {
		// The run's context may be over.
		err = errors.Join(err, b.DeleteNamespace(context.WithoutCancel(ctx), namespace))
	}()
	if err := b.read(); err != nil {
		return err
	}
	if err := b.weighEqually(ctx); err != nil {
		return err
	}
	if err := b.start(ctx, "runner", images, nil); err != nil {
		return err
	}
	idle, err := b.memory(ctx)
	if err != nil {
		return err
	}
	// Not measured: it pulls the images and lays out the work folder, whose
	// parts the bare pods mount.
	if _, err := b.build(ctx, b.files); err != nil {
		return err
	}
	for round := range rounds {
		fmt.Fprintf(w, "round %d of %d\n", round+1, rounds)
		if err := b.round(ctx, round); err != nil {
			return err
		}
	}
	after, err := b.memory(ctx)
	if err != nil {
		return err
	}
	start, err := b.hookStart(ctx)
	if err != nil {
		return err
	}
	b.times[hookStart] = []time.Duration{start}
	heavy, err := b.largeBuild(ctx)
	if err != nil {
		return err
	}
	b.table(w, rounds)
	if _, err := b.jobGoals().print(w); err != nil {
		return err
	}
	heavy.print(w)
	fmt.Fprintf(w, "kiln-hook: %.1f MB; kilnd idle: %.1f MiB at first, %.1f MiB after %d steps\n",
		float64(images.HookSize)/1e6, mib(idle), mib(after), rounds)
	return nil
}

// read reads the action that all of it builds.
func (b *bench) read() (err error) {
	if b.action, err = harness.ReadAction(filepath.Join(b.Root, "examples", "actions", actionUnderIt)); err != nil {
		return err
	}
	if b.files, err = b.action.Files(b.use()); err != nil {
		return err
	}
	b.context, err = gzipContext(b.files)
	return err
}

// start starts a runner pod of that name, which the steps are played in from
// then on.
func (b *bench) start(ctx context.Context, name string, images harness.Images, adjust func(*corev1.Pod)) (err error) {
	b.runner, err = b.StartRunner(ctx, b.namespace, harness.PodOptions{
		Name: name, Images: images, RegistryHost: b.Registry + "/" + cmp.Or(b.repository, b.namespace), ShareProcesses: true, Assemble: true, Adjust: adjust,
	})
	b.quiet = time.Now()
	return err
}

// build plays the action once with kiln and returns how long the hook took.
func (b *bench) build(ctx context.Context, files harness.Files) (time.Duration, error) {
	result, err := b.play(ctx, b.action.Step(harness.Main, b.use()), files)
	if err != nil {
		return 0, err
	}
	return result.Duration, nil
}

// ready plays the same step with an image that is built already.
func (b *bench) ready(ctx context.Context, image string) (time.Duration, error) {
	step := b.action.Step(harness.Main, b.use())
	step.Dockerfile, step.Image = "", image
	result, err := b.play(ctx, step, b.files)
	if err != nil {
		return 0, err
	}
	return result.Duration, nil
}

// play plays a step, which has to succeed.
func (b *bench) play(ctx context.Context, step runner.Step, files harness.Files) (*harness.Result, error) {
	result, err := b.runner.Step(ctx, step, files, nil)
	b.quiet = time.Now()
	if err != nil {
		return nil, err
	}
	if result.ExitCode != 0 {
		return nil, fmt.Errorf("kiln's step ended with exit code %d:\n%s", result.ExitCode, result.Log)
	}
	return result, nil
}

func (b *bench) use() harness.Use { return harness.Use{Uses: "acme/" + actionUnderIt + "@v1"} }

// round measures every quantity once.
func (b *bench) round(ctx context.Context, round int) error {
	image := fmt.Sprintf("%s/%s/bare:%d", b.Registry, b.namespace, time.Now().UnixNano())
	for _, m := range []struct {
		logEnds, terminated string
		pod                 podRun
	}{
		{bareLog, bareEnd, b.truePod(round)},
		{kanikoLog, kanikoEnd, b.kanikoPod(round, image)},
		{freshLog, freshEnd, b.actionPod("fresh", round, image)},
		{readyLog, readyEnd, b.actionPod("ready", round, image)},
	} {
		t, err := b.timePod(ctx, m.pod)
		if err != nil {
			return err
		}
		b.times[m.logEnds] = append(b.times[m.logEnds], t.logEnds)
		b.times[m.terminated] = append(b.times[m.terminated], t.terminated)
	}
	files := b.fresh()
	cold, err := b.build(ctx, files)
	if err != nil {
		return err
	}
	again, err := b.reused(ctx, files)
	if err != nil {
		return err
	}
	ready, err := b.ready(ctx, image)
	if err != nil {
		return err
	}
	b.times[kilnCold] = append(b.times[kilnCold], cold)
	b.times[kilnReady] = append(b.times[kilnReady], ready)
	b.times[kilnReused] = append(b.times[kilnReused], again)
	if err := b.ahead(ctx); err != nil {
		return err
	}
	return b.job(ctx, round)
}

// memory is the resident memory of the daemon's processes, in bytes, once the
// daemon has had time to settle.
func (b *bench) memory(ctx context.Context) (int64, error) {
	select {
	case <-time.After(time.Until(b.quiet.Add(idleSettle))):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return b.number(ctx, "memory", "kilnd", "kiln-sidecar")
}

func (b *bench) hookStart(ctx context.Context) (time.Duration, error) {
	n, err := b.number(ctx, "time", startSamples, "/opt/kiln/kiln-hook")
	return time.Duration(n), err
}

// number runs the stand-in in the runner container for a number.
func (b *bench) number(ctx context.Context, args ...string) (int64, error) {
	out, err := b.runner.Run(ctx, append([]string{"/usr/local/bin/standin"}, args...)...)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(out), 10, 64)
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// median is the middle value; the times are not empty.
func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}
