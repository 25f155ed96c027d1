package podoptions_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"kiln/internal/createoptions"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/podoptions"
)

// place is that of a container on a usual runner.
func place() podoptions.Place {
	return podoptions.Place{Name: "db", Work: "/home/runner/_work", Arch: "amd64"}
}

// of reads options and says what they are in a pod.
func of(t *testing.T, line string, volumes []hook.Mount, at podoptions.Place) (podoptions.Spec, error) {
	t.Helper()
	options, err := createoptions.Parse(line, createoptions.Outside{})
	if err != nil {
		t.Fatal(err)
	}
	return podoptions.Of(options, volumes, at)
}

func quantity(text string) resource.Quantity { return resource.MustParse(text) }

// memory is a volume of that.
func memory(name, size string) corev1.Volume {
	source := &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}
	if size != "" {
		source.SizeLimit = new(quantity(size))
	}
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: source}}
}

// disk is an empty volume on the node's disk.
func disk(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

// TestOf looks at each setting of a container and its pod.
func TestOf(t *testing.T) {
	all := place()
	all.Policy = podoptions.Policy{Rights: true, GPU: "nvidia.com/gpu", GPUs: 4}
	all.Numbers = func(createoptions.User) (uid, gid *int64, err error) { return new(int64(70)), nil, nil }
	const data = "named-3a6eb0790f39ac87c94f"
	for name, test := range map[string]struct {
		line    string
		volumes []hook.Mount
		want    podoptions.Spec
	}{
		"nothing": {"--health-cmd x", nil, podoptions.Spec{Pull: corev1.PullAlways}},
		"user": {"--user 1001:121 --security-opt no-new-privileges --read-only --pull missing", nil, podoptions.Spec{
			Security: &corev1.SecurityContext{
				RunAsUser: new(int64(1001)), RunAsGroup: new(int64(121)),
				AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
			},
			Pull: corev1.PullIfNotPresent,
		}},
		"user by name": {"--user postgres --pull never", nil, podoptions.Spec{
			Security: &corev1.SecurityContext{RunAsUser: new(int64(70))}, Pull: corev1.PullNever,
		}},
		"rights": {"--privileged --cap-add SYS_ADMIN --cap-drop ALL --security-opt seccomp=unconfined --security-opt apparmor=p --security-opt label=level:s0 --device /dev/kvm", nil, podoptions.Spec{
			Security: &corev1.SecurityContext{
				Privileged:      new(true),
				Capabilities:    &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}, Drop: []corev1.Capability{"ALL"}},
				SeccompProfile:  &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined},
				AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: new("p")},
				SELinuxOptions:  &corev1.SELinuxOptions{Level: "s0"},
			},
			Pull: corev1.PullAlways,
		}},
		"no profile": {"--security-opt apparmor=unconfined", nil, podoptions.Spec{
			Security: &corev1.SecurityContext{AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}},
			Pull:     corev1.PullAlways,
		}},
		"limits": {"--cpus 2 --memory 4g --memory-reservation 1g --gpus all", nil, podoptions.Spec{
			Resources: corev1.ResourceRequirements{
				Limits:   corev1.ResourceList{"cpu": quantity("2"), "memory": quantity("4Gi"), "nvidia.com/gpu": quantity("4")},
				Requests: corev1.ResourceList{"cpu": quantity("0"), "memory": quantity("1Gi"), "nvidia.com/gpu": quantity("4")},
			},
			Pull: corev1.PullAlways,
		}},
		"one card and a reservation": {"--gpus 1 --memory-reservation 1g", nil, podoptions.Spec{
			Resources: corev1.ResourceRequirements{
				Limits:   corev1.ResourceList{"nvidia.com/gpu": quantity("1")},
				Requests: corev1.ResourceList{"memory": quantity("1Gi"), "nvidia.com/gpu": quantity("1")},
			},
			Pull: corev1.PullAlways,
		}},
		"memory": {"--shm-size 2g --tmpfs /var/lib/mysql:size=1g --tmpfs /run", nil, podoptions.Spec{
			Pull:    corev1.PullAlways,
			Volumes: []corev1.Volume{memory("db-0", "1Gi"), memory("db-1", ""), memory("db-2", "2Gi")},
			Mounts: []corev1.VolumeMount{
				{Name: "db-0", MountPath: "/var/lib/mysql"}, {Name: "db-1", MountPath: "/run"}, {Name: "db-2", MountPath: "/dev/shm"},
			},
		}},
		"the node's memory": {"--ipc host", nil, podoptions.Spec{
			Pull: corev1.PullAlways, Volumes: []corev1.Volume{memory("db-0", "")}, Mounts: []corev1.VolumeMount{{Name: "db-0", MountPath: "/dev/shm"}},
		}},
		"the machine's shared memory": {"-v /dev/shm:/dev/shm", nil, podoptions.Spec{
			Pull: corev1.PullAlways, Volumes: []corev1.Volume{memory("db-0", "")}, Mounts: []corev1.VolumeMount{{Name: "db-0", MountPath: "/dev/shm"}},
		}},
		"its own shared memory": {"--ipc host --tmpfs /dev/shm:size=1g", nil, podoptions.Spec{
			Pull: corev1.PullAlways, Volumes: []corev1.Volume{memory("db-0", "1Gi")}, Mounts: []corev1.VolumeMount{{Name: "db-0", MountPath: "/dev/shm"}},
		}},
		"volumes": {
			"-v data:/other:ro -v /home/runner/_work/a/a:/src", []hook.Mount{
				{SourceVolumePath: "data", TargetVolumePath: "/data/"},
				{TargetVolumePath: "/cache"},
				{SourceVolumePath: "/__w/b", TargetVolumePath: "/b", ReadOnly: true},
			}, podoptions.Spec{
				Pull:    corev1.PullAlways,
				Volumes: []corev1.Volume{disk(data), disk("db-1")},
				Mounts: []corev1.VolumeMount{
					{Name: data, MountPath: "/data"},
					{Name: "db-1", MountPath: "/cache"},
					{Name: "work", MountPath: "/b", SubPath: "b", ReadOnly: true},
					{Name: data, MountPath: "/other", ReadOnly: true},
					{Name: "work", MountPath: "/src", SubPath: "a/a"},
				},
			},
		},
		"the pod": {"--sysctl net.ipv4.tcp_syncookies=0 --group-add 5 --add-host A:10.0.0.1 --dns 1.1.1.1 --dns-search x --dns-opt ndots:2 --dns-opt rotate --platform linux/amd64", nil, podoptions.Spec{
			Pull: corev1.PullAlways,
			Pod: podoptions.Pod{
				Sysctls: []corev1.Sysctl{{Name: "net.ipv4.tcp_syncookies", Value: "0"}}, Groups: []int64{5},
				Hosts:     []corev1.HostAlias{{IP: "10.0.0.1", Hostnames: []string{"a"}}},
				DNSPolicy: corev1.DNSNone,
				DNS: &corev1.PodDNSConfig{
					Nameservers: []string{"1.1.1.1"}, Searches: []string{"x"},
					Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: new("2")}, {Name: "rotate"}},
				},
			},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := of(t, test.line, test.volumes, all)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Of (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRefused is what a pod cannot have, by the option's name.
func TestRefused(t *testing.T) {
	named := place()
	named.Numbers = func(createoptions.User) (uid, gid *int64, err error) {
		return nil, nil, errors.New("no matching entries in passwd file")
	}
	rights := place()
	rights.Policy.Rights = true
	for name, test := range map[string]struct {
		line    string
		volumes []hook.Mount
		at      podoptions.Place
		want    string
	}{
		"rights":        {"--privileged --cap-add SYS_ADMIN", nil, place(), "options: --privileged, --cap-add SYS_ADMIN: not allowed here; ask who runs these runners (KILN_JOB_RIGHTS)"},
		"device":        {"--device /dev/kvm", nil, rights, "options: --device /dev/kvm has no counterpart on Kubernetes without --privileged; a device plugin and the hook template can give it to all jobs"},
		"paths":         {"--security-opt systempaths=unconfined", nil, rights, "options: --security-opt systempaths=unconfined has no counterpart on Kubernetes without --privileged"},
		"cards":         {"--gpus all", nil, place(), "options: --gpus: no GPU resource is configured here; ask who runs these runners (KILN_GPU)"},
		"names":         {"--user a:b", nil, place(), "options: --user a:b: the image's names of users cannot be read; give the number"},
		"no such name":  {"--user a", nil, named, "options: --user a: no matching entries in passwd file"},
		"group":         {"--group-add video", nil, place(), "options: --group-add video: a pod knows groups by number alone; give the number"},
		"host":          {"--add-host a_b:1.1.1.1", nil, place(), "options: --add-host a_b: Kubernetes takes no such name of a host"},
		"platform":      {"--platform linux/arm64", nil, place(), "options: --platform linux/arm64: these runners work on nodes of amd64"},
		"Docker":        {"", []hook.Mount{{SourceVolumePath: "/var/run/docker.sock", TargetVolumePath: "/var/run/docker.sock"}}, place(), "volumes: /var/run/docker.sock: there is no Docker daemon here; build images with a Dockerfile action, or ask who runs these runners for another way"},
		"a host's path": {"-v /etc/../home:/x", nil, place(), "options: --volume: /home is a path of the runner's machine: here only what lies in the work folder /home/runner/_work can be mounted"},
		"beside it":     {"-v /home/runner/_workshop:/x", nil, place(), "options: --volume: /home/runner/_workshop is a path of the runner's machine: here only what lies in the work folder /home/runner/_work can be mounted"},
		"twice":         {"-v /a -v b:/a", nil, place(), "options: --volume: two volumes are to be mounted at /a"},
		"twice, memory": {"-v /a --tmpfs /a", nil, place(), "options: --tmpfs: two volumes are to be mounted at /a"},
		"no path":       {"", []hook.Mount{{TargetVolumePath: "a"}}, place(), `volumes: "a" is not an absolute path of a container`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := of(t, test.line, test.volumes, test.at)
			if err == nil || err.Error() != test.want || failure.Of(err) != failure.BadRequest {
				t.Errorf("Of = %v, want %s", err, test.want)
			}
		})
	}
}

// TestApply has two containers share a pod.
func TestApply(t *testing.T) {
	first, err := of(t, "--sysctl net.ipv4.tcp_syncookies=0 --group-add 5 --add-host a:1.1.1.1 --dns 1.1.1.1 --user 1", nil, place())
	if err != nil {
		t.Fatal(err)
	}
	second, err := of(t, "--sysctl net.ipv4.tcp_syncookies=1 --group-add 6 --add-host b:2.2.2.2 --dns-search x -v n:/n", nil, place())
	if err != nil {
		t.Fatal(err)
	}
	var got corev1.PodSpec
	for _, spec := range []podoptions.Spec{first, second, second} {
		container := corev1.Container{Name: "c"}
		spec.Apply(&container)
		spec.Pod.Apply(&got)
		got.Volumes = append(got.Volumes, spec.Volumes...)
		got.Containers = append(got.Containers, container)
	}
	n := second.Volumes[0].Name
	mounted := corev1.Container{Name: "c", ImagePullPolicy: corev1.PullAlways, VolumeMounts: []corev1.VolumeMount{{Name: n, MountPath: "/n"}}}
	want := corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{
			Sysctls: []corev1.Sysctl{{Name: "net.ipv4.tcp_syncookies", Value: "0"}}, SupplementalGroups: []int64{5, 6, 6},
		},
		HostAliases: []corev1.HostAlias{{IP: "1.1.1.1", Hostnames: []string{"a"}}, {IP: "2.2.2.2", Hostnames: []string{"b"}}, {IP: "2.2.2.2", Hostnames: []string{"b"}}},
		DNSPolicy:   corev1.DNSNone, DNSConfig: &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1"}},
		Volumes: []corev1.Volume{disk(n), disk(n)},
		Containers: []corev1.Container{
			{Name: "c", ImagePullPolicy: corev1.PullAlways, SecurityContext: &corev1.SecurityContext{RunAsUser: new(int64(1))}}, mounted, mounted,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
}

// TestGroupByName looks a group up in the image.
func TestGroupByName(t *testing.T) {
	at := place()
	at.Numbers = func(u createoptions.User) (uid, gid *int64, err error) {
		if u.Name != "0" || u.Group != "video" {
			return nil, nil, errors.New("unable to find group " + u.Group)
		}
		return new(int64(0)), new(int64(44)), nil
	}
	spec, err := of(t, "--group-add video --group-add 5", nil, at)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{44, 5}, spec.Pod.Groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	const want = "options: --group-add render: unable to find group render"
	if _, err := of(t, "--group-add render", nil, at); err == nil || err.Error() != want {
		t.Errorf("Of = %v, want %s", err, want)
	}
}
