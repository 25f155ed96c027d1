package imagebuild

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/config"
	"kiln/internal/failure"
	"kiln/internal/kaniko"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
	"kiln/internal/steplog"
)

// usersMemo remembers whether build pods get user namespaces of their own, where
// nobody has set it. It is safe for concurrent use; the zero value knows nothing.
type usersMemo struct {
	mu    sync.Mutex
	known bool
	have  bool
}

// refuse says that a node could not make one.
func (m *usersMemo) refuse() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known, m.have = true, false
}

// ask returns whether there are any; probe is called until it answers.
func (m *usersMemo) ask(probe func() (bool, error)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known {
		have, err := probe()
		m.known, m.have = err == nil, have
	}
	return m.have
}

// ownUsers reports whether the build's pod gets a user namespace of its own. No
// device node can be made in one: a Dockerfile that makes any is built without,
// or refused where the operator wants all pods to have one.
func (o *order) ownUsers() (bool, error) {
	line := o.plan.file.Devices
	switch o.builder.options.Settings.BuildUserns {
	case config.UsernsOn:
		if line == 0 {
			return true, nil
		}
		at := o.source.Place
		at.Line = line
		return false, &steplog.PlacedError{Place: at, Err: failure.New(failure.UnsupportedInstruction,
			"%s: builds run in user namespaces here (KILN_BUILD_USERNS=on), in which no device node can be made: leave it out, or have an operator set KILN_BUILD_USERNS=auto", at)}
	case config.UsernsAuto:
		return line == 0 && o.builder.users.ask(o.builder.probeUsers), nil
	}
	return false, nil
}

// probeUsers looks at the cluster's release and at the kernel of the runner's
// node.
func (b *Builder) probeUsers() (bool, error) {
	server, err := b.options.Pods.ServerVersion()
	if err != nil {
		return false, err
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false, fmt.Errorf("ask the kernel for its release: %w", err)
	}
	return podrun.UserNamespaces(server, unix.ByteSliceToString(name.Release[:])), nil
}

// withoutUsers acts on the error of a build whose pod has a user namespace of
// its own because the cluster seems to have them: it names the pod that has none.
func (o *order) withoutUsers(spec *corev1.Pod, err error) (again bool, renamed error) {
	if !errors.Is(err, podwait.ErrNoUsers) || !o.plan.users || o.builder.options.Settings.BuildUserns != config.UsernsAuto {
		return false, nil
	}
	o.plan.users = false
	o.builder.users.refuse()
	o.who.Log.Line("kiln: %s: building without one", steplog.OneLine(err.Error()))
	spec.Spec.HostUsers = nil
	spec.Name, renamed = kaniko.Name(spec)
	return true, renamed
}

// usersDropped is the error of a pod whose user namespace the API server has
// left out, as releases and feature gates without them do.
func (o *order) usersDropped(made *corev1.Pod) error {
	if !o.plan.users || made.Spec.HostUsers != nil {
		return nil
	}
	return failure.New(failure.Misconfigured, "KILN_BUILD_USERNS is on, but the API server does not know user namespaces of pods: set it to auto or off")
}
