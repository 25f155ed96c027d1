package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/runner"
)

// The measured quantities of a job with a container.
const (
	bareRunning = "bare pod: create → running seen"
	jobPrepared = "kiln, prepare_job: hook starts → hook exits"
	forkTrue    = "true, forked in the runner container"
	stepTrue    = "kiln, run: step true: hook starts → hook exits"
	execTrue    = "true by pods/exec: request → end"
	execProcess = "true by pods/exec, from a process and a connection of its own: starts → exits"
	fork50      = "50 MB, printed by a fork in the runner container"
	step50      = "kiln, run: step that prints 50 MB: hook starts → hook exits"
	exec50      = "50 MB by pods/exec: request → end"
)

// jobRows are those, in the order of the table.
func jobRows() []string {
	return []string{bareRunning, jobPrepared, forkTrue, stepTrue, execTrue, execProcess, fork50, step50, exec50}
}

// jobImage has the programs of the runner's image: what is forked there is the same.
// BusyBox's head copies byte by byte.
const jobImage = "debian:bookworm-slim"

// print50 prints 50 MB, and no more than a process can.
const print50 = "head -c 50000000 /dev/zero"

// stepsEach is how often a short step is played in a round.
const stepsEach = 5

// cpuWeight is what each container of the bench asks of the processor. A pod without a
// request comes last for it, and there are as many processes as processors here and more:
// a fork in a pod that has a request would be measured beside a step in one that has none.
const cpuWeight = "50m"

// weighEqually gives each container that comes without a request one.
func (b *bench) weighEqually(ctx context.Context) error {
	limits := &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "weights"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, DefaultRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpuWeight)},
		}}},
	}
	_, err := b.Kube.CoreV1().LimitRanges(b.namespace).Create(ctx, limits, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create limit range: %w", err)
	}
	return nil
}

// job measures a job with a container: its beginning, and steps in it beside the
// same processes started in other ways.
func (b *bench) job(ctx context.Context, round int) error {
	running, err := b.timeRunning(ctx, round)
	if err != nil {
		return err
	}
	b.times[bareRunning] = append(b.times[bareRunning], running)
	job := &runner.Job{Container: &runner.Container{Image: jobImage}}
	prepared, err := b.play(ctx, runner.Step{Repository: "acme/app", Command: runner.PrepareJob, Job: job}, nil)
	if err != nil {
		return err
	}
	b.times[jobPrepared] = append(b.times[jobPrepared], prepared.Duration)
	response, err := runner.ReadResponse(prepared.Response, *job)
	if err != nil {
		return err
	}
	err = b.steps(ctx, runner.Step{Repository: "acme/app", Command: runner.RunScriptStep, Job: job, State: response.State, Quiet: true}, response.Container)
	_, endErr := b.play(ctx, runner.Step{Repository: "acme/app", Command: runner.CleanupJob, State: response.State}, nil)
	return errors.Join(err, endErr)
}

// steps measures steps in the job container.
func (b *bench) steps(ctx context.Context, step runner.Step, place runner.Place) error {
	for _, m := range []struct {
		fork, step, exec string
		script           string
		times            int
	}{
		{forkTrue, stepTrue, execTrue, "true", stepsEach},
		{fork50, step50, exec50, print50, 1},
	} {
		step.Script = &runner.Script{Text: m.script + "\n"}
		for range m.times {
			forked, err := b.number(ctx, "fork", m.script)
			if err != nil {
				return err
			}
			result, err := b.play(ctx, step, nil)
			if err != nil {
				return err
			}
			execed, err := b.timeExec(ctx, place.Network, m.script)
			if err != nil {
				return err
			}
			if m.script == "true" {
				alone, err := b.timeExecAlone(ctx, place.Network, m.script)
				if err != nil {
					return err
				}
				b.times[execProcess] = append(b.times[execProcess], alone)
			}
			b.times[m.fork] = append(b.times[m.fork], time.Duration(forked))
			b.times[m.step] = append(b.times[m.step], result.Duration)
			b.times[m.exec] = append(b.times[m.exec], execed)
		}
	}
	return nil
}

// timeRunning is how long a pod of the same image takes to be seen running.
func (b *bench) timeRunning(ctx context.Context, round int) (time.Duration, error) {
	pod := barePod("running", round, corev1.Container{
		Image: b.Registry + "/library/" + jobImage, Command: []string{"sleep", "60"}, ImagePullPolicy: corev1.PullAlways,
	})
	began := time.Now()
	if _, err := b.Kube.CoreV1().Pods(b.namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return 0, fmt.Errorf("create pod %s: %w", pod.Name, err)
	}
	err := b.Await(ctx, b.namespace, pod.Name, func(pod *corev1.Pod) (bool, error) {
		return pod.Status.Phase == corev1.PodRunning, nil
	})
	took := time.Since(began)
	deleteErr := b.Kube.CoreV1().Pods(b.namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
	return took, errors.Join(err, deleteErr)
}
