package imagebuild

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/kaniko"
	"kiln/internal/label"
	"kiln/internal/preflight"
	"kiln/internal/runnerpod"
)

// Specimen is the build pod of an order that nobody gave, in the runner pod self: what
// the cluster lets through of it, it lets through of every build's. Nothing is made.
func (o Options) Specimen(id string, self runnerpod.Self) (*corev1.Pod, error) {
	p := &plan{file: &preflight.File{}, executor: o.Settings.KanikoImage}
	p.push, p.pull = o.Names.Image("kiln-specimen", "r-specimen")
	return o.pod(&order{who: Asker{ID: id, Runner: self}, owner: self.Owner(), plan: p}, nil)
}

// pod returns the specification of the build pod of an order. pulls are the images
// that may be pulled, pinned to the digests that the key was made of.
func (o *Options) pod(of *order, pulls []string) (*corev1.Pod, error) {
	p, settings, runner := of.plan, o.Settings, of.who.Runner
	pod, err := kaniko.Pod(kaniko.Build{
		Namespace:        o.Namespace,
		Labels:           of.labels(label.RoleBuild),
		OwnerReferences:  []metav1.OwnerReference{of.owner},
		KanikoImage:      p.executor,
		Executor:         settings.Executor,
		Flavor:           o.Flavor,
		Rights:           settings.BuildRights,
		SnapshotMode:     settings.SnapshotMode,
		GateImage:        runner.Image,
		GatePullPolicy:   runner.PullPolicy,
		OwnArgs:          p.file.OwnArgs,
		Push:             p.push,
		Pulls:            pulls,
		Inspect:          p.inspect,
		Index:            of.part,
		IndexPulled:      of.indexed,
		Mirrors:          o.Mirrors,
		Insecure:         o.Insecure,
		PlainLogin:       o.PlainLogin,
		SecretName:       settings.RegistrySecret,
		PullSecretName:   settings.PullSecret,
		PullAllow:        settings.PullAllow,
		CAConfigMap:      settings.CAConfigMap,
		Identity:         settings.Identity,
		ServiceAccount:   runner.ServiceAccount,
		Proxy:            o.Proxy,
		Triggers:         p.triggers,
		Tolerations:      runner.Tolerations,
		ImagePullSecrets: runner.PullSecrets,
		Arch:             arch,
		Deadline:         settings.PendingTimeout + settings.BuildTimeout,
		Memory:           settings.BuildMemory,
		EphemeralStorage: settings.BuildStorage,
		OwnUsers:         p.users,
	})
	if err != nil {
		return nil, err
	}
	pod.Annotations = map[string]string{label.Runner: runner.Name}
	o.Template.Apply(pod)
	if pod.Name, err = kaniko.Name(pod); err != nil {
		return nil, fmt.Errorf("name the build pod: %w", err)
	}
	return pod, nil
}
