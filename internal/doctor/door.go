package doctor

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/agent"
	"kiln/internal/job"
	"kiln/internal/podrun"
	"kiln/internal/workpod"
)

// runnerUser is the user of the runner in its official image, for a runner pod that says
// no other.
const runnerUser = 1001

// errShut says that one pod does not reach the other.
var errShut = errors.New("the socket leads nowhere")

// door has one pod listen at a socket on the work volume, as a job container does, and
// another one call there, as the runner does: whether they meet depends on the volume,
// the kernel, and what keeps the pods of a node apart.
func (e *examination) door(ctx context.Context) []Finding {
	if !e.inSidecar() {
		return skip(e.onlyInside())
	}
	made, err := e.specimen()
	if err != nil {
		return skip("no pod can be made: " + err.Error())
	}
	// In the work folder itself, where the runner may write.
	socket := "/work/.kiln-doctor-" + strings.ToLower(rand.Text())
	listener := e.doorPod(made.Job, "--socket", socket)
	caller := e.doorPod(made.Job, agent.CallCommand, socket)
	err = e.inTrial(ctx, listener, listens, func(ctx context.Context) error {
		return e.inTrial(ctx, caller, func(pod *corev1.Pod) (bool, error) {
			end, ended := podrun.Terminated(pod, job.ContainerName)
			if ended && end.ExitCode != 0 {
				return true, fmt.Errorf("%w: %s", errShut, strings.TrimSpace(end.Message))
			}
			return ended, failedTrial(pod)
		}, nil)
	})
	switch {
	case errors.Is(err, errShut):
		return warn("one pod does not reach another by a socket on the work volume: "+err.Error(),
			"steps of job containers go over the network then, and what actions print is read from the node: see what keeps pods of a node apart (SELinux, AppArmor, a sandbox), or whether the volume is one file system for both")
	case err != nil:
		return skip("the two pods of the trial did not run: " + err.Error())
	}
	return ok("one pod reaches another by a socket on the work volume")
}

// doorPod is a pod that has the work volume and runs the program of job containers.
func (e *examination) doorPod(from *corev1.Pod, args ...string) *corev1.Pod {
	template := corev1.PodTemplateSpec{ObjectMeta: from.ObjectMeta, Spec: from.Spec}
	pod := e.pullPod(template, map[string]trialContainer{job.ContainerName: {image: e.self.Image, args: args}})
	for _, v := range from.Spec.Volumes {
		if v.Name == workpod.Volume {
			pod.Spec.Volumes = []corev1.Volume{v}
		}
	}
	c := &pod.Spec.Containers[0]
	c.Command, c.ImagePullPolicy = []string{"/kiln-agent"}, corev1.PullIfNotPresent
	c.VolumeMounts = []corev1.VolumeMount{{Name: workpod.Volume, MountPath: "/work"}}
	c.TerminationMessagePath, c.TerminationMessagePolicy = "/dev/termination-log", corev1.TerminationMessageFallbackToLogsOnError
	c.SecurityContext = e.asRunner()
	return pod
}

// asRunner is the user of the runner container: the work folder is its own.
func (e *examination) asRunner() *corev1.SecurityContext {
	uid, gid := new(int64(runnerUser)), new(int64(runnerUser))
	runner, _ := container(&e.pods[0], containerRunner)
	if s := e.pods[0].Spec.SecurityContext; s != nil {
		uid, gid = cmp.Or(s.RunAsUser, uid), cmp.Or(s.RunAsGroup, gid)
	}
	if s := runner.SecurityContext; s != nil {
		uid, gid = cmp.Or(s.RunAsUser, uid), cmp.Or(s.RunAsGroup, gid)
	}
	return &corev1.SecurityContext{
		RunAsUser: uid, RunAsGroup: gid, AllowPrivilegeEscalation: new(false),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

// listens reports whether the first pod of the trial runs.
func listens(pod *corev1.Pod) (bool, error) {
	if end, ended := podrun.Terminated(pod, job.ContainerName); ended {
		return true, errors.New(strings.TrimSpace(end.Message))
	}
	return podrun.Running(pod, job.ContainerName), failedTrial(pod)
}

// failedTrial is why a pod will not run, or nil.
func failedTrial(pod *corev1.Pod) error {
	if _, ended := podrun.Terminated(pod, job.ContainerName); ended {
		return nil
	}
	if reason, failed := podrun.Failed(pod); failed {
		return errors.New(reason)
	}
	return nil
}

// inTrial makes a pod, waits for what is awaited of it, calls then unless that is nil,
// and deletes the pod.
func (e *examination) inTrial(ctx context.Context, wanted *corev1.Pod, awaited podrun.OnChange, then func(context.Context) error) (err error) {
	_, err = e.client.CreatePod(ctx, wanted)
	if podrun.Refused(err) {
		return err
	}
	// An answer can be lost, and the pod be there.
	defer func() { err = errors.Join(err, e.remove(ctx, wanted.Name)) }()
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, e.Patience)
	defer cancel()
	err = e.client.Watch(waiting, wanted.Name, awaited)
	if err == nil && then != nil {
		err = then(ctx)
	}
	return err
}
