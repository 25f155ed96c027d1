package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/e2e/harness"
)

// What is measured of a workload, of both kilns.
const (
	firstTime = "first time"
	changed   = "one file changed"
	unchanged = "nothing changed (reused)"
	wished    = "20 s after the job's start, wished for"

	// The parts of a step whose image is there, as its log tells them.
	untilJob = "… until its Job is made"
	jobRuns  = "… Job made → container seen running"
	jobEnds  = "… container seen running → step over"

	bareSame    = "B: bare pod of the same image, create → terminated seen"
	mountedRuns = "the same with an action's mounts, create → seen running"
	mountedSame = "the same with an action's mounts, create → terminated seen"
	dindCold    = "DinD cold, engine's start included"
	dindWarm    = "DinD warm, one file changed"
)

// What is measured of a runner pod and of what is beside its steps, in the units that they
// name.
const (
	podRuns      = "runner pod: made → runner runs, s"
	podSeen      = "… → seen running, s"
	plainRuns    = "plain runner pod: made → runner runs, s"
	plainSeen    = "plain … → seen running, s"
	plainPVCRuns = "plain runner pod with a PVC: made → runner runs, s"
	plainPVCSeen = "plain with a PVC … → seen running, s"
	resident     = "kilnd idle, all its processes: resident, MiB"
	proportional = "kilnd idle, all its processes: proportional, MiB"
	indexTime    = "index of 400 MiB in 30,000 files: time over the inflater's"
	indexMemory  = "index of 400 MiB in 30,000 files: memory, MiB more"
	hookStarted  = "script of the job's start, 20 actions, 10 with a Dockerfile: starts → exits, ms"
	hookWished   = "… until its 10 wishes are there, ms"
)

// old names a row of the older kiln.
func old(name string) string { return "old: " + name }

// targets measures what kiln has to come to.
type targets struct {
	older, newer *side // the older one may be missing
	engine       *engine
	loads        []workload
	tables       []*goals // of the workloads
	runner       *goals
	w            io.Writer
}

// goalsOf are the rows of a workload.
func goalsOf(l workload) *goals {
	first := goal{firstTime, []bound{{0.45, old(firstTime), 0}, {1, dindCold, 0}}}
	rows := []goal{first, {unchanged, []bound{{1, bareSame, 0.25}}}, {untilJob, nil}, {jobRuns, nil}, {jobEnds, nil}}
	if l.splits {
		rows[0].bounds = []bound{{1.05, old(firstTime), 0}}
		rows = append(rows, goal{changed, []bound{{1, unchanged, 0.5}, {0.15, old(changed), 0}, {1, dindCold, 0}}})
	}
	if l.name == slow {
		rows = append(rows, goal{wished, []bound{{1.1, unchanged, 0}}})
	}
	rows = append(rows, goal{old(firstTime), nil})
	if l.splits {
		rows = append(rows, goal{old(changed), nil})
	}
	return newGoals(l.name+", s", append(rows, goal{old(unchanged), nil}, goal{bareSame, nil}, goal{mountedSame, nil}, goal{mountedRuns, nil}, goal{dindCold, nil}, goal{dindWarm, nil})...)
}

// runnerGoals are the rows of a runner pod.
func runnerGoals() *goals {
	return newGoals("runner",
		goal{podRuns, []bound{{1, plainPVCRuns, 0.8}}}, goal{old(podRuns), nil}, goal{plainRuns, nil}, goal{plainPVCRuns, nil},
		goal{podSeen, nil}, goal{old(podSeen), nil}, goal{plainSeen, nil}, goal{plainPVCSeen, nil},
		goal{resident, []bound{{0, "", 36}}}, goal{old(resident), nil}, goal{proportional, []bound{{0, "", 25}}},
		goal{indexTime, []bound{{0, "", 1 / 0.8}}}, goal{indexMemory, []bound{{0, "", 64}}},
		goal{hookStarted, []bound{{0, "", 50}}}, goal{hookWished, nil})
}

// aim measures the targets of the working tree alone.
func aim(ctx context.Context, args cli, w io.Writer) (err error) {
	c := &comparison{w: w}
	defer func() {
		// The run's context may be over.
		err = errors.Join(err, c.remove(context.WithoutCancel(ctx)))
	}()
	cluster, err := harness.Connect()
	if err != nil {
		return err
	}
	images, err := cluster.BuildImages(ctx)
	if err != nil {
		return err
	}
	if c.sides[after], err = newSide(ctx, cluster, namespace+"-"+sideNames()[after], images); err != nil {
		return err
	}
	return c.targets(ctx, args)
}

// measureTargets measures the targets in rounds and prints them.
func measureTargets(ctx context.Context, args cli, older, newer *side, w io.Writer) (err error) {
	t := &targets{older: older, newer: newer, runner: runnerGoals(), w: w}
	defer func() {
		// The run's context may be over.
		ctx, cluster := context.WithoutCancel(ctx), newer.bench.Cluster
		err = errors.Join(err, cluster.DeleteNamespace(ctx, besideNamespace), cluster.AwaitNamespaceGone(ctx, besideNamespace))
	}()
	if err := t.prepare(ctx); err != nil {
		return err
	}
	rounds := max(args.Rounds, 1)
	for n := range rounds {
		began := time.Now()
		err := t.round(ctx, n)
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(w, "targets, round %d of %d: once more: %v\n", n+1, rounds, err)
			err = t.round(ctx, n)
		}
		if err != nil {
			return fmt.Errorf("targets, round %d: %w", n+1, err)
		}
		fmt.Fprintf(w, "targets, round %d of %d: %.0f s\n", n+1, rounds, time.Since(began).Seconds())
	}
	if err := t.benchmarks(ctx); err != nil {
		return err
	}
	return t.print()
}

// besideNamespace has the mirror and the Docker engine. It takes privileged pods.
const besideNamespace = namespace + "-beside"

// prepare starts what the workloads need and are compared with.
func (t *targets) prepare(ctx context.Context) error {
	cluster := t.newer.bench.Cluster
	if err := cluster.PrivilegedNamespace(ctx, besideNamespace); err != nil {
		return err
	}
	if err := (&bench{Cluster: cluster, namespace: besideNamespace}).weighEqually(ctx); err != nil {
		return err
	}
	mirror, err := startMirror(ctx, cluster, besideNamespace)
	if err != nil {
		return err
	}
	t.loads = workloads(mirror)
	for _, l := range t.loads {
		t.tables = append(t.tables, goalsOf(l))
	}
	t.engine, err = startEngine(ctx, cluster, besideNamespace)
	if t.engine == nil && err == nil {
		fmt.Fprintln(t.w, "this machine has no Docker engine: nothing is compared with one")
	}
	return err
}

// round measures everything once. Which kiln is first changes from round to round.
func (t *targets) round(ctx context.Context, n int) (err error) {
	both := []*side{t.older, t.newer}
	if n%2 == 1 {
		both = []*side{t.newer, t.older}
	}
	for _, s := range both {
		if s == nil {
			continue
		}
		if err := errors.Join(t.side(ctx, s), s.stopRunner(ctx)); err != nil {
			return fmt.Errorf("%s: %w", s.bench.namespace, err)
		}
	}
	for i, l := range t.loads {
		if t.engine == nil {
			break
		}
		base := nonce()
		cold, warm, err := t.engine.measure(ctx, l.content(base, nonce()), l.content(base, nonce()))
		if err != nil {
			return err
		}
		t.tables[i].add(dindCold, cold)
		t.tables[i].add(dindWarm, warm)
	}
	return nil
}

// side measures one kiln, in a runner pod of its own, on a repository of its own that
// is empty at first.
func (t *targets) side(ctx context.Context, s *side) error {
	name := func(row string) string { return row }
	if s == t.older {
		name = old
	}
	s.bench.repository = fmt.Sprintf("%s/%s", s.bench.namespace, nonce())
	start, err := s.startRunner(ctx)
	if err != nil {
		return err
	}
	t.runner.add(name(podRuns), start.runs.Seconds())
	t.runner.add(name(podSeen), start.seen.Seconds())
	idle, err := s.bench.memory(ctx)
	if err != nil {
		return err
	}
	t.runner.add(name(resident), mib(idle))
	if s == t.newer {
		if err := t.plain(ctx, s); err != nil {
			return err
		}
	}
	for i, l := range t.loads {
		image, err := t.load(ctx, s, l, func(row string, seconds float64) { t.tables[i].add(name(row), seconds) })
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		if s == t.older {
			continue
		}
		if err := bare(ctx, s, t.tables[i], fmt.Sprint(i), image); err != nil {
			return err
		}
	}
	return nil
}

// bare measures bare pods of an image, with nothing and with what an action's has.
func bare(ctx context.Context, s *side, table *goals, name, image string) error {
	if err := s.awaitMoment(ctx); err != nil {
		return err
	}
	plain, err := s.bench.timePod(ctx, podRun{pod: barePod("same-"+name, s.rounds, corev1.Container{Image: image})})
	if err != nil {
		return err
	}
	if err := s.awaitMoment(ctx); err != nil {
		return err
	}
	mounted, err := s.bench.timePod(ctx, s.bench.actionPod("mounted-"+name, s.rounds, image))
	if err != nil {
		return err
	}
	table.add(bareSame, plain.terminated.Seconds())
	table.add(mountedSame, mounted.terminated.Seconds())
	table.add(mountedRuns, mounted.running.Seconds())
	return nil
}

// pushedImage is how a step's log names the image that it ran.
var pushedImage = regexp.MustCompile(`\S+@sha256:[0-9a-f]{64}`)

// load measures a workload with one kiln, and returns the image that it ran last.
func (t *targets) load(ctx context.Context, s *side, l workload, add func(string, float64)) (image string, err error) {
	base := nonce()
	files := l.files(l.content(base, nonce()))
	play := func(row string, files harness.Files) (log string, err error) {
		if err := s.awaitMoment(ctx); err != nil {
			return "", err
		}
		result, err := s.bench.play(ctx, l.step(), files)
		if err != nil {
			return "", err
		}
		add(row, result.Duration.Seconds())
		fmt.Fprintf(t.w, "%s, %s, %s: %s\n", s.bench.namespace, l.name, row, phases(result.Log))
		return result.Log, nil
	}
	if _, err := play(firstTime, files); err != nil {
		return "", err
	}
	if l.splits {
		files = l.files(l.content(base, nonce()))
		if _, err := play(changed, files); err != nil {
			return "", err
		}
	}
	log, err := play(unchanged, files)
	if err != nil {
		return "", err
	}
	if image = pushedImage.FindString(log); image == "" || !strings.Contains(log, "kiln: reused (") {
		return "", fmt.Errorf("the image was not reused:\n%s", log)
	}
	if s == t.older {
		return image, nil
	}
	for row, seconds := range stepParts(log) {
		add(row, seconds)
	}
	if l.name == slow {
		took, err := s.bench.wish(ctx, l, s.awaitMoment)
		add(wished, took.Seconds())
		return image, err
	}
	return image, nil
}

// phase is one of a step in the last line of its log.
var phase = regexp.MustCompile(`\b(start|run|total) ([\d.]+)s`)

// phases is the last line of a step's log, which tells what took how long.
func phases(log string) string {
	return strings.TrimSpace(log[max(strings.LastIndex(log, "kiln: context"), 0):])
}

// stepParts are the parts of a step whose image is there, in seconds.
func stepParts(log string) map[string]float64 {
	took := map[string]float64{}
	for _, found := range phase.FindAllStringSubmatch(phases(log), -1) {
		took[found[1]], _ = strconv.ParseFloat(found[2], 64) // the expression takes numbers alone
	}
	return map[string]float64{untilJob: took["total"] - took["start"] - took["run"], jobRuns: took["start"], jobEnds: took["run"]}
}

// plain measures the runner pod without kiln, and the memory that takes another
// container to see.
func (t *targets) plain(ctx context.Context, s *side) error {
	bytes, err := s.bench.proportional(ctx, s.images.Runner)
	if err != nil {
		return err
	}
	t.runner.add(proportional, mib(bytes))
	for _, claim := range []bool{false, true} {
		runs, seen := plainRuns, plainSeen
		if claim {
			runs, seen = plainPVCRuns, plainPVCSeen
		}
		if err := s.awaitMoment(ctx); err != nil {
			return err
		}
		start, err := s.bench.startPlain(ctx, fmt.Sprintf("plain-%d-%t", s.rounds, claim), s.images, claim)
		if err != nil {
			return err
		}
		t.runner.add(runs, start.runs.Seconds())
		t.runner.add(seen, start.seen.Seconds())
	}
	return nil
}

// benchmarks runs those that take no cluster: of what makes the indexes of layers, and of
// the script of a job's start.
func (t *targets) benchmarks(ctx context.Context) error {
	return errors.Join(
		t.benchmark(ctx, "BenchmarkIndex", "./internal/treestore", map[string]string{"x-inflater": indexTime, "MiB-more": indexMemory}),
		t.benchmark(ctx, "BenchmarkJobStarted", "./hookshim", map[string]string{"ms-started": hookStarted, "ms-wished": hookWished}))
}

// benchmark runs one benchmark of a package, and adds to each row what it reports in a
// unit.
func (t *targets) benchmark(ctx context.Context, name, of string, rows map[string]string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^"+name+"$", "-benchtime", "5x", of)
	cmd.Dir = t.newer.bench.Root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s: %w\n%s", name, err, out)
	}
	for unit, row := range rows {
		found := regexp.MustCompile(`\s([\d.]+) ` + unit + `\b`).FindSubmatch(out)
		if found == nil {
			return fmt.Errorf("run %s: no %s in\n%s", name, unit, out)
		}
		value, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil {
			return fmt.Errorf("run %s: %w", name, err)
		}
		t.runner.add(row, value)
	}
	return nil
}

// print writes all tables.
func (t *targets) print() error {
	var missed []string
	for _, table := range append(t.tables, t.runner) {
		failed, err := table.print(t.w)
		if err != nil {
			return err
		}
		missed = append(missed, failed...)
	}
	fmt.Fprintf(t.w, "targets missed: %d\n", len(missed))
	for _, m := range missed {
		fmt.Fprintln(t.w, " ", m)
	}
	return nil
}
