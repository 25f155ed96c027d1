package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// The sides of a comparison. Again is the older kiln a second time.
const (
	before = iota
	after
	again
	sides
)

// side is one kiln in a namespace of its own.
type side struct {
	bench    *bench
	images   harness.Images
	adjust   func(*corev1.Pod)
	gateTest string        // the program with the benchmark of its gate
	files    harness.Files // of the last cold build
	rounds   int
}

// newSide installs the kiln of cluster's tree in a namespace.
func newSide(ctx context.Context, cluster *harness.Cluster, namespace string, images harness.Images) (*side, error) {
	s := &side{bench: &bench{Cluster: cluster, namespace: namespace}, images: images, gateTest: gateProgram(cluster.Root)}
	if err := s.bench.read(); err != nil {
		return nil, err
	}
	if err := cluster.Namespace(ctx, namespace); err != nil {
		return nil, err
	}
	return s, s.bench.weighEqually(ctx)
}

// startRunner starts the round's runner pod, at its moment.
func (s *side) startRunner(ctx context.Context) (podStart, error) {
	s.rounds++
	if err := s.awaitMoment(ctx); err != nil {
		return podStart{}, err
	}
	began := time.Now()
	if err := s.bench.start(ctx, fmt.Sprintf("runner-%d", s.rounds), s.images, s.adjust); err != nil {
		return podStart{}, err
	}
	return s.bench.started(ctx, began, s.bench.runner.Pod)
}

// stopRunner removes the round's runner pod, if there is one, and all of it.
func (s *side) stopRunner(ctx context.Context) error {
	if s.bench.runner == nil {
		return nil
	}
	err := s.bench.Kube.CoreV1().Pods(s.bench.namespace).Delete(ctx, s.bench.runner.Pod, metav1.DeleteOptions{GracePeriodSeconds: new(int64(1))})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete runner pod: %w", err)
	}
	s.bench.runner = nil
	return nil
}

func (s *side) idle(ctx context.Context) ([]float64, error) {
	bytes, err := s.bench.memory(ctx)
	return []float64{mib(bytes)}, err
}

func (s *side) cold(ctx context.Context) (time.Duration, error) {
	s.files = s.bench.fresh()
	return s.bench.build(ctx, s.files)
}

func (s *side) reused(ctx context.Context) (time.Duration, error) {
	return s.bench.reused(ctx, s.files)
}

// readyImage runs an image that the node has.
func (s *side) readyImage(ctx context.Context) (time.Duration, error) {
	step := runner.Step{Repository: "acme/app", Image: s.bench.Registry + "/library/busybox:latest", EntryPoint: "true"}
	result, err := s.bench.play(ctx, step, nil)
	if err != nil {
		return 0, err
	}
	return result.Duration, nil
}

func (s *side) large(ctx context.Context) ([]float64, error) {
	l, err := s.bench.largeBuild(ctx)
	return []float64{l.took.Seconds(), mib(l.peak), float64(l.sent) / 1e6, float64(l.received) / 1e6}, err
}

func (s *side) size(context.Context) ([]float64, error) {
	return []float64{float64(s.images.HookSize) / 1e6}, nil
}

// gateTransfers are the parts of the benchmark of the gate.
func gateTransfers() []string {
	return []string{"http/1.1/download", "http/1.1/upload", "h2/download", "h2/upload"}
}

// gateFigures are the names of its figures.
func gateFigures() []string {
	var names []string
	for _, transfer := range gateTransfers() {
		names = append(names, "gate, "+transfer+": time over that without a gate")
	}
	return names
}

// gateProgram is where compileGate puts the benchmark of a tree's gate.
func gateProgram(tree string) string { return filepath.Join(tree, "bin", "e2e", "gate.test") }

// compileGate compiles it.
func compileGate(ctx context.Context, tree string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-trimpath", "-c", "-o", gateProgram(tree), "./internal/gate")
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile the benchmark of the gate: %w\n%s", err, out)
	}
	return nil
}

// gate transfers each layer of the benchmark once.
func (s *side) gate(ctx context.Context) ([]float64, error) {
	cmd := exec.CommandContext(ctx, s.gateTest, "-test.run", "^$", "-test.bench", "^BenchmarkGate$", "-test.benchtime", "1x")
	cmd.Dir = filepath.Join(s.bench.Root, "internal", "gate")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("measure the gate: %w%s", err, stderrOf(err))
	}
	return gateTimes(string(out))
}

// gateTimes reads what the benchmark prints of each transfer.
func gateTimes(out string) ([]float64, error) {
	var times []float64
	for _, transfer := range gateTransfers() {
		line := regexp.MustCompile(`BenchmarkGate/` + regexp.QuoteMeta(transfer) + `\S*\s.*?([\d.]+) %-of-direct`).FindStringSubmatch(out)
		if line == nil {
			return nil, errors.New("the benchmark of the gate has no " + transfer + ":\n" + out)
		}
		percent, err := strconv.ParseFloat(line[1], 64)
		if err != nil {
			return nil, fmt.Errorf("read the benchmark of the gate: %w", err)
		}
		times = append(times, 100/percent)
	}
	return times, nil
}
