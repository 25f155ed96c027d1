//go:build e2e

package e2e_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
)

// jobTemplate is an operator's for whole jobs.
const jobTemplate = `
spec:
  imagePullSecrets: [{name: theirs}]
  securityContext: {fsGroup: 1001}
  volumes: [{name: cache, emptyDir: {}}]
  containers:
  - name: $job
    volumeMounts: [{name: cache, mountPath: /cache}]
    resources: {requests: {cpu: 10m}, limits: {memory: 256Mi}}
    securityContext: {allowPrivilegeEscalation: false}
  - name: $db
    resources: {requests: {cpu: 10m}, limits: {memory: 64Mi}}
  - name: beside
    image: docker.io/library/busybox
    command: [sh, -c, trap exit TERM; sleep 3600 & wait]
`

// TestJobTemplate: an operator's template takes nothing of the options away but what it
// sets, which the log says, and changes the containers that it names alone.
func TestJobTemplate(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "jobtemplate", func(_ suite.Stage, o *harness.PodOptions) { o.HookTemplate = jobTemplate })
	service := func(name, options string) runner.Service {
		return runner.Service{
			Container:  runner.Container{Image: f.Busybox(), Options: "--network-alias " + name + " " + options},
			EntryPoint: "sleep", Command: []string{"600"},
		}
	}
	job := debianJob()
	job.Container.Options = "--cpus 1 --memory 1g --user 1001:7 --read-only --group-add 5"
	job.Services = []runner.Service{service("db", "--memory 32m"), service("apart", "")}
	j, began := f.TryPrepare(t, job, nil)
	outcome.Success(t, began)
	outcome.Log(t, began, "::warning::kiln: options: --memory: the template of these runners decides: 256Mi\n")
	if strings.Count(began.Log, "::warning::kiln: options") != 1 {
		t.Errorf("warnings:\n%s", outcome.Tail(began.Log))
	}
	const look = "id -u\nid -g\nid -G | tr ' ' '\\n' | sort -n | tr '\\n' ' '; echo\ntouch /x 2>/dev/null || echo read only\n" +
		"touch /cache/x && echo cached\ncat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || true\n"
	outcome.OwnLog(t, j.Run(t, look), "1001\n7\n5 7 1001 \nread only\ncached\n268435456\n")
	wantJobTemplate(t, f)
	j.End(t)
	f.WantNothingLeft(t)
}

// wantJobTemplate looks at the pods of the job.
func wantJobTemplate(t *testing.T, f *suite.Fixture) {
	pods := f.Seen.With("job")
	if len(pods) != 1 || len(f.Seen.With("apart")) != 1 {
		t.Fatalf("saw %d pods of jobs and %d of a service", len(pods), len(f.Seen.With("apart")))
	}
	apart := f.Seen.With("apart")[0]
	if !harness.HasContainer(pods[0], "beside") || harness.HasContainer(apart, "beside") {
		t.Error("the further container is not beside the job container alone")
	}
	for _, pod := range []*corev1.Pod{pods[0], apart} {
		if secrets := pod.Spec.ImagePullSecrets; !slices.Contains(secrets, corev1.LocalObjectReference{Name: "theirs"}) {
			t.Errorf("the pull secrets of %s are %v", pod.Name, secrets)
		}
	}
	db := harness.Container(pods[0], "db")
	if limit := db.Resources.Limits.Memory().String(); limit != "32Mi" || db.Resources.Requests.Cpu().String() != "10m" {
		t.Errorf("resources of db = %+v", db.Resources)
	}
	for _, c := range append(pods[0].Spec.Containers, apart.Spec.Containers...) {
		for _, m := range c.VolumeMounts {
			if m.MountPath == "/cache" && c.Name != "job" {
				t.Errorf("the service %s has what is mounted for $job", c.Name)
			}
		}
	}
}
