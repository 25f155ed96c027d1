package servicerun

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/agent"
	"kiln/internal/failure"
	"kiln/internal/podrun"
	"kiln/internal/service"
	"kiln/internal/steplog"
)

// apart completes what is in the pod of a service alone: its own names, and where other
// pods have services, what writes theirs into its hosts file.
func (b *begun) apart(s *planned) {
	s.parts.Hostname = hostname([]*planned{s}, s.pod)
	s.parts.Aliases = aliases([]*planned{s}, s.pod, s.parts.Hostname)
	if len(b.elsewhere(s.pod)) == 0 {
		return
	}
	self := b.of.Call.Runner
	// First: a kubelet writes the hosts file of a pod anew, from its beginning, with each
	// container that it starts, and a service that looks itself up then finds no name.
	s.parts.Containers = append([]corev1.Container{service.Hosts(self.Image)}, s.parts.Containers...)
	s.told = true
}

// elsewhere are the services with names that are in other pods.
func (b *begun) elsewhere(pod string) []*planned {
	var list []*planned
	for _, s := range b.list {
		if s.pod != pod && len(s.Hosts) > 0 {
			list = append(list, s)
		}
	}
	return list
}

// tell tells each pod that was made without the names of the others.
func (b *begun) tell(ctx context.Context) error {
	var told []*planned
	for _, s := range b.list {
		if s.told {
			told = append(told, s)
		}
	}
	if len(told) == 0 {
		return nil
	}
	if err := b.wait(ctx, b.list, listens); err != nil {
		return err
	}
	errs := make([]error, len(told))
	var group sync.WaitGroup
	for i, s := range told {
		group.Go(func() { errs[i] = b.send(ctx, s) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// send tells the pod of a service the names of the others.
func (b *begun) send(ctx context.Context, s *planned) error {
	var lines strings.Builder
	lines.WriteString("\n# The job's services in other pods.\n")
	for _, alias := range aliases(b.elsewhere(s.pod), s.pod, "") {
		fmt.Fprintf(&lines, "%s\t%s\n", alias.IP, strings.Join(alias.Hostnames, " "))
	}
	lines.WriteString(agent.HostsEnd)
	if err := b.runner.options.Pods.Attach(ctx, s.pod, service.HostsContainer, strings.NewReader(lines.String())); err != nil {
		return fmt.Errorf("tell the service %s the names of the others: %w", s.Title, err)
	}
	return nil
}

// located says that a pod has an address.
func located(pod *corev1.Pod) bool { return pod.Status.PodIP != "" }

// listens says that a pod has an address, and can be told names if it is to be: all of its
// containers have begun, so that nobody writes its hosts file anew.
func listens(pod *corev1.Pod) bool {
	return located(pod) && (!toBeTold(pod) || podrun.Running(pod, service.HostsContainer) && begunAll(pod))
}

// begunAll says whether every container of a pod has begun, or ended since.
func begunAll(pod *corev1.Pod) bool {
	for i := range pod.Spec.Containers {
		name := pod.Spec.Containers[i].Name
		if _, ended := podrun.Terminated(pod, name); !ended && !podrun.Running(pod, name) {
			return false
		}
	}
	return true
}

// knows says whether a pod has been told what it is to be. The error is of one that
// could not be told.
func knows(pod *corev1.Pod) (bool, error) {
	if !toBeTold(pod) {
		return true, nil
	}
	end, ended := podrun.Terminated(pod, service.HostsContainer)
	if ended && end.ExitCode != 0 {
		return false, failure.New(failure.NotStarted, "the pod %s did not take the names of the job's services (exit code %d, %s): %s",
			pod.Name, end.ExitCode, end.Reason, steplog.OneLine(end.Message))
	}
	return ended, nil
}

// toBeTold says that a pod has what writes names into its hosts file.
func toBeTold(pod *corev1.Pod) bool {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == service.HostsContainer {
			return true
		}
	}
	return false
}
