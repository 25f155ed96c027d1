package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/action"
	"kiln/internal/kaniko"
	"kiln/internal/podrun"
	"kiln/internal/registry"
	"kiln/internal/request"
)

// specimen returns the objects of a step. Without a runner pod some of what they
// are made of stands for itself.
func (e *examination) specimen() (request.Specimen, error) {
	if e.operator == nil || e.operator.Flavor.Name == "" {
		return request.Specimen{}, errors.New("settings has a fault")
	}
	self := e.self
	if self.Claim == "" {
		self.Claim, self.WorkMount = "kiln-doctor", "/home/runner/_work"
	}
	if self.Image == "" {
		self.Image = "kiln-doctor"
	}
	made, err := request.SpecimenOf(*e.operator, e.Namespace, self)
	if err != nil {
		return request.Specimen{}, err
	}
	if self.UID == "" {
		made.Build.OwnerReferences, made.Action.OwnerReferences, made.Job.OwnerReferences = nil, nil, nil
	}
	return made, nil
}

// podSecurity lets the API server judge the pods of a step without creating
// them.
func (e *examination) podSecurity(ctx context.Context) []Finding {
	made, err := e.specimen()
	if err != nil {
		return skip("no pod can be made: " + err.Error())
	}
	admitted, buildErr := e.client.Admitted(ctx, made.Build)
	_, jobErr := e.client.Kube.Jobs(e.Namespace).Create(ctx, made.Action, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	// Of a Job Pod Security judges the pod alone, when it is created.
	_, actionErr := e.client.Admitted(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: made.Action.Name, Labels: made.Action.Spec.Template.Labels},
		Spec:       made.Action.Spec.Template.Spec,
	})
	_, wholeErr := e.client.Admitted(ctx, made.Job)
	var findings []Finding
	if buildErr == nil {
		mend := "a webhook or an admission policy changes build pods, and a RUN has what it adds: " + fmt.Sprintf(noWebhook, made.Build.Spec.ServiceAccountName)
		findings = foreignReach(admitted, kaniko.ContainerGate, mend)
	}
	for _, trial := range []struct {
		what string
		err  error
	}{{"build pods", buildErr}, {"the Jobs of actions", jobErr}, {"the pods of actions", actionErr}, {"the pods of jobs", wholeErr}} {
		switch {
		case trial.err == nil:
		case denied(trial.err):
			return skip("the right to create " + trial.what + " is missing")
		default:
			findings = append(findings, fail(trial.what+" are not admitted: "+trial.err.Error(), e.admit(trial.err))...)
		}
	}
	return orOK(findings, "build pods, actions and jobs are admitted")
}

// admit says what to change so that a pod is admitted.
func (e *examination) admit(err error) string {
	if strings.Contains(err.Error(), "violates PodSecurity") {
		return "kubectl label namespace " + e.Namespace + " --overwrite pod-security.kubernetes.io/enforce=baseline"
	}
	return "change what refuses them: an admission policy or webhook, a quota, or the pod template in KILN_BUILD_TEMPLATE or ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE"
}

// kaniko looks at the executor's image.
func (e *examination) kaniko(ctx context.Context) []Finding {
	if e.settings == nil {
		return skip("settings are not known")
	}
	flavor, err := e.settings.Flavor()
	if err != nil {
		f := settingFinding(err.Error())
		return fail(f.Seen, f.Mend)
	}
	image := e.settings.KanikoImage
	if newer := flavor.Newer(); newer != "" {
		return warn(newer, "set KILN_KANIKO_IMAGE to the release that docs/dockerfile.md describes, or try your Dockerfiles with this one")
	}
	if e.registry == nil {
		return ok(fmt.Sprintf("%s, %s", flavor, image))
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	digest, err := e.registry.Resolve(ctx, image)
	lookup, _ := errors.AsType[*registry.LookupError](err)
	switch {
	case err == nil:
		return ok(fmt.Sprintf("%s, %s@%s", flavor, image, digest))
	case lookup != nil && lookup.Kind == registry.NotFound:
		return fail("there is no image "+image, "correct KILN_KANIKO_IMAGE (docs/dockerfile.md, Which Kaniko)")
	}
	// Nodes may have a way to it that this container has not.
	return ok(fmt.Sprintf("%s, %s; its registry does not tell more here", flavor, image))
}

// nodePull lets a node pull the image that was pushed.
func (e *examination) nodePull(ctx context.Context) []Finding {
	made, err := e.specimen()
	if err != nil {
		return skip(err.Error())
	}
	image := e.byDigest()
	node, err := e.pull(ctx, made.Action.Spec.Template, map[string]trialContainer{action.ContainerName: {image: image}})
	if err != nil {
		return fail("a node does not get what was pushed: "+err.Error(), pullMend(err.Error(), registryOf(image), registryOf(e.trial.push)))
	}
	return ok(fmt.Sprintf("node %s pulls %s", node, repositoryOf(e.trial.pull)))
}

// kanikoPull lets a node pull the images of a build pod.
func (e *examination) kanikoPull(ctx context.Context) []Finding {
	made, err := e.specimen()
	if err != nil {
		return skip(err.Error())
	}
	images := map[string]trialContainer{kaniko.ContainerKaniko: {image: e.settings.KanikoImage, args: []string{"version"}}}
	if e.self.Image != "" {
		images[kaniko.ContainerGate] = trialContainer{image: e.self.Image, args: []string{"version"}}
	}
	node, err := e.pull(ctx, corev1.PodTemplateSpec{ObjectMeta: made.Build.ObjectMeta, Spec: made.Build.Spec}, images)
	if err != nil {
		return fail("a node does not get the images of a build pod: "+err.Error(),
			"let the nodes pull it: mirror it, or name a pull secret in imagePullSecrets of the runner pods, which build pods inherit (docs/dockerfile.md, Which Kaniko)")
	}
	return ok("node " + node + " has the images of a build pod")
}

// pullMend says what to change so that nodes pull from host what is pushed to
// push.
func pullMend(message, host, push string) string {
	lower := strings.ToLower(message)
	has := func(texts ...string) bool {
		for _, text := range texts {
			if strings.Contains(lower, text) {
				return true
			}
		}
		return false
	}
	switch {
	case has("x509", "certificate"):
		return "let the nodes trust the certificate of " + host
	case has("server gave http response to https client"):
		return "let the container engine of the nodes speak plain HTTP to " + host + ", or give the registry a certificate"
	case has("no such host", "connection refused", "i/o timeout", "no route to host", "dial tcp", "deadline exceeded"):
		return "the nodes do not reach " + host + ": set " + envRegistryPull + " to the registry as the nodes name it, on the same storage as " + push
	case has("unauthorized", "authorization failed", "forbidden", "401", "403", "denied", "no basic auth"):
		return "the nodes have no credentials for " + host + ": the Secret of " + envRegistrySecret + " has to be of type kubernetes.io/dockerconfigjson, with an entry for " + host
	case has("not found", "unknown"):
		return host + " does not have what was pushed to " + push + ": " + envRegistryPull + " has to name the same registry"
	}
	return "look at the events of a pod that pulls from " + host
}

// trialContainer is an image, and the arguments with which its own program ends at once.
type trialContainer struct {
	image string
	args  []string
}

// pull creates a pod like from whose named containers have those images and do
// nothing, waits until a node has pulled them, and deletes the pod. It returns the
// node.
func (e *examination) pull(ctx context.Context, from corev1.PodTemplateSpec, images map[string]trialContainer) (node string, err error) {
	wanted := e.pullPod(from, images)
	pod, err := e.client.CreatePod(ctx, wanted)
	if podrun.Refused(err) {
		return "", err
	}
	// An answer can be lost, and the pod be there.
	defer func() { err = errors.Join(err, e.remove(ctx, wanted.Name)) }()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, e.Patience)
	defer cancel()
	latest := pod
	err = e.client.Watch(ctx, pod.Name, func(p *corev1.Pod) (bool, error) {
		latest = p
		return pulled(p)
	})
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		// The pod's events say more; ctx has ended.
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), shortLimit)
		defer cancel()
		why := podrun.Explain(latest, e.client.Events(after, "Pod", pod.Name))
		err = fmt.Errorf("not within %s: %s", e.Patience, why)
	}
	return latest.Spec.NodeName, err
}

// remove deletes a pod, whatever became of ctx, and waits until it is gone.
func (e *examination) remove(ctx context.Context, pod string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shortLimit)
	defer cancel()
	if err := e.client.Delete(ctx, pod, 0, nil); err != nil {
		return fmt.Errorf("the pod %s of doctor is left: %w", pod, err)
	}
	return e.client.WaitGone(ctx, pod, "")
}

// labels of the pods of doctor: the role tells them from those of steps. What goes
// with a runner belongs to its pod; the stock hook's label would have cleanup_job
// stumble over a pod that goes just then.
const (
	labelRole  = "kiln.build/role"
	roleDoctor = "doctor"
)

// pullPod returns a pod that is placed and pulls as one of a step's, and does
// nothing else.
func (e *examination) pullPod(from corev1.PodTemplateSpec, images map[string]trialContainer) *corev1.Pod {
	pod := &corev1.Pod{Spec: *from.Spec.DeepCopy()}
	pod.Name = "kiln-doctor-" + strings.ToLower(rand.Text())
	pod.Labels = map[string]string{labelRole: roleDoctor}
	if e.inSidecar() {
		pod.OwnerReferences = []metav1.OwnerReference{e.self.Owner()}
	}
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	pod.Spec.ActiveDeadlineSeconds = new(int64((e.Patience + shortLimit).Seconds()))
	pod.Spec.InitContainers, pod.Spec.Volumes = nil, nil
	// Elsewhere than in the sidecar this program may be of another architecture.
	if pod.Spec.NodeSelector == nil {
		pod.Spec.NodeSelector = map[string]string{}
	}
	pod.Spec.NodeSelector[corev1.LabelArchStable] = e.arch
	containers := pod.Spec.Containers
	pod.Spec.Containers = nil
	for _, c := range containers {
		if trial, named := images[c.Name]; named {
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{
				Name: c.Name, Image: trial.image, Args: trial.args,
				ImagePullPolicy: c.ImagePullPolicy, Resources: c.Resources, SecurityContext: c.SecurityContext,
			})
		}
	}
	return pod
}

// pulled reports whether the images of all containers are on the node; the error
// is why one is not.
func pulled(pod *corev1.Pod) (bool, error) {
	if reason, failed := podrun.Failed(pod); failed {
		return true, errors.New(reason)
	}
	if len(pod.Status.ContainerStatuses) < len(pod.Spec.Containers) {
		return false, nil
	}
	for _, status := range pod.Status.ContainerStatuses {
		waiting := status.State.Waiting
		switch {
		case waiting == nil:
		case waiting.Reason == "" || waiting.Reason == "ContainerCreating" || waiting.Reason == "PodInitializing":
			return false, nil
		case !afterPull(waiting.Reason):
			return true, errors.New(podrun.Explain(pod, nil))
		}
	}
	return true, nil
}

// afterPull reports whether a container waits for something that comes after the
// pull of its image (kubernetes pkg/kubelet/kuberuntime/kuberuntime_container.go).
func afterPull(reason string) bool {
	switch reason {
	case "CreateContainerConfigError", "PreCreateHookError", "CreateContainerError", "PreStartHookError", "RunContainerError", "PostStartHookError", "CrashLoopBackOff":
		return true
	}
	return false
}
