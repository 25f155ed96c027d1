package job

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"kiln/internal/agent"
	"kiln/internal/createoptions"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/podoptions"
	"kiln/internal/spool"
	"kiln/internal/workpod"
)

// What the agent and the steps find in the job container.
const (
	pathAgent     = "/__kiln-agent"  // the agent
	pathDir       = "/__kiln"        // the job's own directory
	pathDoor      = "/__kiln/door"   // its socket
	pathSecret    = "/__kiln-secret" // the door's secret
	pathExternals = "/__e"           // GitHub's Node.js, for JavaScript actions
)

// Names in the job's own directory.
const (
	fileAgent    = "agent"
	dirExternals = "externals"
)

// volumeDoor is the volume with the door's secret, and keyDoor its key in the Secret.
const (
	volumeDoor = "kiln-door"
	keyDoor    = "door"
)

// graceSeconds is what the pod has between SIGTERM and SIGKILL.
const graceSeconds = 5

// Pod returns the job's pod. The error is about mounts that the pod cannot have.
func Pod(s Spec) (*corev1.Pod, error) {
	container, err := container(s)
	if err != nil {
		return nil, err
	}
	own := Services{
		Containers: []corev1.Container{container},
		Volumes:    []corev1.Volume{doorVolume(s)},
		Pods:       []podoptions.Pod{s.Settings.Pod},
		Aliases:    ownNames(s.Options),
	}
	all := own.With(s.Services)
	all.Volumes = append(all.Volumes, s.Settings.Volumes...)
	pod := s.pod(s.Name, all)
	s.install(&pod.Spec)
	pod.Spec.Hostname = Hostname(s.Options.Hostname)
	return pod, nil
}

// ownNames are the names of the job container by --name and --network-alias, as those in
// its pod have them.
func ownNames(o createoptions.Options) []corev1.HostAlias {
	var list []corev1.HostAlias
	for _, name := range append([]string{o.Name}, o.Aliases...) {
		if host, ok := podoptions.HostName(name); ok {
			list = append(list, corev1.HostAlias{IP: "127.0.0.1", Hostnames: []string{host}})
		}
	}
	return list
}

// ServicesPod returns a pod of that name with services alone.
func ServicesPod(s Spec, name string, services Services) *corev1.Pod { return s.pod(name, services) }

// pod returns a pod of the job with containers.
func (s Spec) pod(name string, in Services) *corev1.Pod {
	spec := workpod.PodSpec(workpod.Place{
		Claim: s.Claim, NodeName: s.NodeName, Arch: s.Arch,
		Tolerations: s.Tolerations, ImagePullSecrets: s.ImagePullSecrets,
		SELinux: s.SELinux, SELinuxChange: s.SELinuxChange,
	}, graceSeconds)
	spec.Hostname = in.Hostname
	spec.HostAliases = slices.Clone(in.Aliases)
	spec.Containers = in.Containers
	spec.Volumes = named(append(spec.Volumes, in.Volumes...))
	for _, wanted := range in.Pods {
		wanted.Apply(&spec)
	}
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: s.meta(name),
		Spec:       spec,
	}
}

// named leaves out what was named before: containers share a volume by its name.
func named(volumes []corev1.Volume) []corev1.Volume {
	taken := map[string]bool{}
	return slices.DeleteFunc(volumes, func(v corev1.Volume) bool {
		before := taken[v.Name]
		taken[v.Name] = true
		return before
	})
}

// Hostname is what the author calls the machine, where a pod can be called that; else empty.
func Hostname(asked string) string {
	if len(validation.IsDNS1123Label(asked)) > 0 {
		return ""
	}
	return asked
}

// container returns the job container. It is pulled always, as hosted runners do: an
// image that the node has could be an old one of that name, and one that the job may
// not pull.
func container(s Spec) (corev1.Container, error) {
	asked := s.Container.Container
	mounts, err := mounts(s)
	if err != nil {
		return corev1.Container{}, err
	}
	c := corev1.Container{
		Name:         ContainerName,
		Image:        asked.Image,
		Command:      append([]string{pathAgent, "--socket", pathDoor, "--tcp", s.listen(), "--secret", pathSecret}, s.ofSteps()...),
		WorkingDir:   cmp.Or(s.Options.WorkDir, asked.WorkingDirectory),
		Env:          environment(s).Variables(s.Name),
		VolumeMounts: mounts,
	}
	s.Settings.Apply(&c)
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = corev1.PullAlways
	}
	return c, unique(c.VolumeMounts)
}

// ofSteps has the agent give steps what a pod cannot give a container: the limits of the
// options, and no trace of the variables that the message has without a value, which
// Docker takes out of the image's.
func (s Spec) ofSteps() []string {
	var args []string
	asked := s.Container.Container.EnvironmentVariables
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		if asked[name] == "" {
			args = append(args, "--unset", workpod.Literal(name))
		}
	}
	for _, u := range s.Options.Ulimits {
		args = append(args, "--ulimit", fmt.Sprintf("%s=%d:%d", u.Name, u.Soft, u.Hard))
	}
	return args
}

// unique refuses two mounts at one place, as Docker does.
func unique(mounts []corev1.VolumeMount) error {
	taken := map[string]bool{}
	for _, m := range mounts {
		if taken[m.MountPath] {
			return failure.New(failure.BadRequest, "volumes: two mounts at %s of the job container", m.MountPath)
		}
		taken[m.MountPath] = true
	}
	return nil
}

// doorVolume is the volume with the door's secret alone.
func doorVolume(s Spec) corev1.Volume {
	return corev1.Volume{
		Name: volumeDoor,
		VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: s.Name,
			Items:      []corev1.KeyToPath{{Key: keyDoor, Path: keyDoor}},
			// Whoever the image's user is: the steps can ask the agent for anything
			// anyway.
			DefaultMode: new(int32(0o444)),
		}},
	}
}

// mounts are the runner's and the job's own.
func mounts(s Spec) ([]corev1.VolumeMount, error) {
	list, err := workpod.Mounts(s.Container.Container.SystemMountVolumes, s.WorkMount)
	if err != nil {
		return nil, err
	}
	dir := path.Join(spool.JobsDir, s.Dir)
	return append(needed(list),
		corev1.VolumeMount{Name: workpod.Volume, MountPath: pathDir, SubPath: dir},
		s.agentMount(),
		corev1.VolumeMount{Name: workpod.Volume, MountPath: pathExternals, SubPath: path.Join(dir, dirExternals), ReadOnly: true},
		corev1.VolumeMount{Name: volumeDoor, MountPath: pathSecret, SubPath: keyDoor, ReadOnly: true},
	), nil
}

// needed leaves out what is seen through another mount: the runner asks for the work
// folder at /__w and for folders of it at their places below.
func needed(mounts []corev1.VolumeMount) []corev1.VolumeMount {
	whole := slices.IndexFunc(mounts, func(m corev1.VolumeMount) bool { return m.MountPath == workpod.Target && m.SubPath == "" })
	return slices.DeleteFunc(mounts, func(m corev1.VolumeMount) bool {
		return whole >= 0 && m.SubPath != "" && m.MountPath == path.Join(workpod.Target, m.SubPath) && !m.ReadOnly
	})
}

// home is where hosted runners have the home of a job container.
const home = "/github/home"

// environment is that of the job container beside the image's own: the options' and,
// over them, the message's, as they stand on Docker's command line. A variable that
// the message has without a value is not set, nor is a malformed limit, with which the
// container's first process would not start.
func environment(s Spec) workpod.Environment {
	values := variables(s)
	if s.BadMemory() != "" {
		delete(values, agent.MemoryVariable)
	}
	return workpod.NewEnvironment(values, "")
}

// BadMemory is the GOMEMLIMIT that the job container is to have and that Go's runtime
// refuses; empty for none.
func (s Spec) BadMemory() string {
	if limit := variables(s)[agent.MemoryVariable]; !agent.Starts(limit) {
		return limit
	}
	return ""
}

// variables are the environment as it is asked for.
func variables(s Spec) map[string]string {
	values := map[string]string{"HOME": home}
	maps.Copy(values, s.Options.Env)
	for name := range s.Container.Container.EnvironmentVariables {
		delete(values, name)
	}
	maps.Copy(values, hook.JobEnv(s.Container.Container))
	return values
}
