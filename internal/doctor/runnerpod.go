package doctor

import (
	"context"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/install"
	"kiln/internal/runnerpod"
)

// Names of the overlay's containers.
const (
	containerKiln   = "kiln"
	containerRunner = "runner"
)

// hookFile is what the installer calls the program that the runner executes.
const hookFile = "hook.sh"

// defaultExchange is KILN_EXCHANGE where it is not set.
const defaultExchange = "/var/run/kiln"

// tokenDir is where a pod has the token of its service account.
const tokenDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// overlayAgain is what to do about a pod that is not as the overlay makes it.
const overlayAgain = "apply the overlay anew, after all other values files: Helm replaces lists as a whole (docs/install.md, The overlay)"

// runnerPod reads the runner pods.
func (e *examination) runnerPod(ctx context.Context) []Finding {
	if e.inSidecar() {
		return e.ownPod(ctx)
	}
	list, err := e.client.Kube.Pods(e.Namespace).List(ctx, metav1.ListOptions{})
	switch {
	case err != nil:
		return fail("the pods of namespace "+e.Namespace+" cannot be listed: "+err.Error(), "use a kubeconfig whose user may list pods there")
	}
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil && hasKiln(&pod) && (pod.Status.Phase == corev1.PodRunning || pod.Status.Phase == corev1.PodPending) {
			e.pods = append(e.pods, pod)
		}
	}
	// The newest is what the present template makes.
	slices.SortStableFunc(e.pods, func(a, b corev1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	e.arch = runtime.GOARCH
	if len(e.pods) == 0 {
		return e.withoutPod()
	}
	e.self, _ = runnerpod.Of(&e.pods[0])
	if node, err := e.client.Kube.Nodes().Get(ctx, e.self.NodeName, metav1.GetOptions{}); err == nil {
		e.arch = node.Status.NodeInfo.Architecture
	}
	return ok(fmt.Sprintf("%d with a kiln container; %s is the newest", len(e.pods), e.self.Name))
}

// withoutPod says what to do where there is no runner pod.
func (e *examination) withoutPod() []Finding {
	sets := e.setsWithKiln()
	if len(e.sets) > 0 && len(sets) == 0 {
		return warn(noPod+", and no scale set of the namespace has the overlay", "give a scale set the overlay (docs/install.md, The overlay)")
	}
	for _, s := range sets {
		if s.Spec.MinRunners > 0 {
			name := s.Metadata.Name
			return warn(fmt.Sprintf("%s, though minRunners of the scale set %s is %d", noPod, name, s.Spec.MinRunners),
				fmt.Sprintf("mend what scale-sets says; else kubectl get ephemeralrunners -n %s, and the logs of the controller and of the listener of %s, tell why", e.Namespace, name))
		}
	}
	return warn(noPod, "start a job, or set minRunners of the scale set to 1, and run doctor again; a scale set without the overlay has no pod with a container called kiln")
}

// ownPod reads the pod that the examination looks from.
func (e *examination) ownPod(ctx context.Context) []Finding {
	e.arch = runtime.GOARCH
	if e.PodName == "" {
		return fail("KILN_POD_NAME is not set", "set it from the downward API field metadata.name, as the overlay does")
	}
	pod, err := e.client.Kube.Pods(e.Namespace).Get(ctx, e.PodName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fail(fmt.Sprintf("there is no pod %s in namespace %s", e.PodName, e.Namespace), "set KILN_POD_NAME and KILN_NAMESPACE from the downward API, as the overlay does")
	case err != nil:
		return fail("the runner pod cannot be read: "+err.Error(), "give kiln's service account the Role kiln, as the chart and manifests/rbac.yaml do")
	case !hasKiln(pod):
		return fail("the runner pod has no container called kiln", "name kiln's sidecar so")
	}
	e.pods = []corev1.Pod{*pod}
	e.self, _ = runnerpod.Of(pod)
	return ok(fmt.Sprintf("%s on node %s, image %s", pod.Name, pod.Spec.NodeName, e.self.Image))
}

func hasKiln(pod *corev1.Pod) bool {
	_, found := container(pod, containerKiln)
	return found
}

// container returns the container or init container of that name.
func container(pod *corev1.Pod, name string) (corev1.Container, bool) {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == name {
			return c, true
		}
	}
	return corev1.Container{}, false
}

// variable returns a variable of a container. Of one that the kubelet takes from
// elsewhere the value is empty.
func variable(c corev1.Container, name string) (value string, set bool) {
	for _, env := range slices.Backward(c.Env) {
		if env.Name == name {
			return env.Value, true
		}
	}
	return "", false
}

// mounted returns the innermost mount of a container that dir lies in.
func mounted(c corev1.Container, dir string) (corev1.VolumeMount, bool) {
	var found corev1.VolumeMount
	dir = path.Clean(dir)
	for _, mount := range c.VolumeMounts {
		at := path.Clean(mount.MountPath)
		if (dir == at || strings.HasPrefix(dir, strings.TrimSuffix(at, "/")+"/")) && len(at) > len(found.MountPath) {
			found = mount
		}
	}
	return found, found.Name != ""
}

// volume returns a volume of the pod.
func volume(pod *corev1.Pod, name string) corev1.Volume {
	for _, v := range pod.Spec.Volumes {
		if v.Name == name {
			return v
		}
	}
	return corev1.Volume{}
}

// overlayFindings compares the kiln containers with those of the overlay.
func overlayFindings(pod *corev1.Pod) []Finding {
	kiln, _ := container(pod, containerKiln)
	runner, _ := container(pod, containerRunner)
	sidecar := slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == containerKiln && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	})
	var findings []Finding
	add := func(bad bool, status Status, seen, mend string) {
		if bad {
			findings = append(findings, one(status, seen, mend)...)
		}
	}
	add(!sidecar, Fail, "the container kiln is no native sidecar (an init container with restartPolicy: Always)", overlayAgain)
	add(len(kiln.Args) == 0 || kiln.Args[0] != "run", Fail, fmt.Sprintf("the arguments of the container kiln are %q", kiln.Args), "give it args: [run, --install=/opt/kiln]")
	add(installs(kiln) == "", Fail, "the container kiln brings no hook: it has no argument --install", overlayAgain)
	add(!holdsBack(kiln), Warn, "the container kiln has no postStart hook and no start-up probe: the runner may start before the exchange is served", overlayAgain)
	add(kiln.LivenessProbe != nil, Warn, "the container kiln has a liveness probe: a restart ends the steps in flight", "remove livenessProbe from the container kiln")
	_, delegated := variable(runner, "KILN_DELEGATE")
	_, token := mounted(runner, tokenDir)
	add(!delegated && token, Warn, "sealed mode, and the runner container has a cluster token all the same", "set automountServiceAccountToken: false, as the overlay of sealed mode does")
	add(!dropsRaw(runner), Warn, "the runner container may open raw sockets, which hear and answer what kiln sends", "drop NET_RAW in its securityContext.capabilities, as the overlay does")
	_, token = mounted(kiln, tokenDir)
	add(!token, Fail, "the container kiln has no cluster token", "mount one at "+tokenDir+", as the overlay does")
	return findings
}

// holdsBack reports whether the containers behind a sidecar wait until it is at work.
func holdsBack(c corev1.Container) bool {
	return c.StartupProbe != nil || c.Lifecycle != nil && c.Lifecycle.PostStart != nil
}

// dropsRaw reports whether a container has given up raw sockets.
func dropsRaw(c corev1.Container) bool {
	context := c.SecurityContext
	return context != nil && context.Capabilities != nil && slices.ContainsFunc(context.Capabilities.Drop, func(dropped corev1.Capability) bool {
		return dropped == "NET_RAW" || dropped == "ALL"
	}) && !slices.Contains(context.Capabilities.Add, "NET_RAW")
}

// hookFindings looks at how the runner calls kiln.
func hookFindings(pod *corev1.Pod) []Finding {
	runner, found := container(pod, containerRunner)
	if !found {
		return fail("there is no container called runner", "name the runner's container so: Actions Runner Controller knows it by that name")
	}
	if sign := runnerpod.Novolume(pod); sign != "" {
		return fail("the scale set has containerMode kubernetes-novolume ("+sign+"): there the work folder is no volume that the pod of an action could mount",
			"use containerMode kubernetes, or none for sealed mode (docs/install.md, Which mode)")
	}
	want := hookPath(pod, runner)
	if want == "" {
		return fail("the runner container does not mount the volume that the container kiln writes the hook to", overlayAgain)
	}
	const name = "ACTIONS_RUNNER_CONTAINER_HOOKS"
	value, set := variable(runner, name)
	switch {
	case !set:
		return fail(name+" is not set on the runner container: the runner calls no hook, and kiln is idle", "set it to "+want+"; "+overlayAgain)
	case value != want:
		return fail(fmt.Sprintf("%s is %q: the runner calls another hook, and kiln is idle", name, value), "set it to "+want+" on the runner container")
	}
	return runnerSettings(runner)
}

// runnerSettings looks at kiln's variables of the runner container.
func runnerSettings(runner corev1.Container) []Finding {
	var findings []Finding
	for _, variable := range runner.Env {
		switch name := variable.Name; {
		case strings.HasPrefix(name, "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_"):
			findings = append(findings, warn(name+" is set on the runner container, where it has no effect", "set it on the kiln container, or in the ConfigMap kiln")...)
		case name == "KILN_HANDLE" && variable.ValueFrom == nil && !slices.Contains([]string{"", "dockerfile", "all", "job"}, variable.Value):
			findings = append(findings, fail(fmt.Sprintf("KILN_HANDLE is %q on the runner container", variable.Value), "write dockerfile, all or job")...)
		case name == "KILN_EXTERNALS" && variable.ValueFrom == nil && !slices.Contains([]string{"", "lazy", "all"}, variable.Value):
			findings = append(findings, fail(fmt.Sprintf("KILN_EXTERNALS is %q on the runner container", variable.Value), "write lazy or all")...)
		case name == "KILN_DAEMON_GRACE" && variable.ValueFrom == nil && variable.Value != "":
			if d, err := time.ParseDuration(variable.Value); err != nil || d <= 0 {
				findings = append(findings, fail(fmt.Sprintf("KILN_DAEMON_GRACE is %q on the runner container", variable.Value), "write a duration such as 60s")...)
			}
		case strings.HasPrefix(name, "KILN_") && !slices.Contains([]string{envDelegate, "KILN_HANDLE", "KILN_EXTERNALS", "KILN_EXCHANGE", "KILN_DAEMON_GRACE", "KILN_JOB_STARTED"}, name):
			findings = append(findings, warn(name+" is set on the runner container, where it has no effect", "set it on the kiln container where it is a setting of the daemon; the README lists those of both")...)
		}
	}
	return findings
}

// hookPath is where the runner container has kiln's hook; empty where it has
// none.
func hookPath(pod *corev1.Pod, runner corev1.Container) string {
	kiln, _ := container(pod, containerKiln)
	dest := installs(kiln)
	from, found := mounted(kiln, dest)
	if dest == "" || !found {
		return ""
	}
	for _, mount := range runner.VolumeMounts {
		if mount.Name == from.Name {
			inside := strings.TrimPrefix(path.Clean(dest), path.Clean(from.MountPath))
			return path.Join(mount.MountPath, inside, hookFile)
		}
	}
	return ""
}

// installs returns the directory that the container kiln writes the hook to.
func installs(kiln corev1.Container) string {
	dir, _ := install.Destination(kiln.Args)
	return dir
}

// workFindings looks at the volume of the work folder.
func workFindings(pod *corev1.Pod) []Finding {
	if runnerpod.Novolume(pod) != "" {
		return skip("containerMode kubernetes-novolume has none: see hook")
	}
	if _, err := runnerpod.Of(pod); err != nil {
		return fail(err.Error(), "mount the whole of a persistent volume claim called work in the runner container: the overlay of sealed mode and containerMode kubernetes do")
	}
	return nil
}
