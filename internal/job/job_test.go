package job_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kiln/internal/createoptions"
	"kiln/internal/failure"
	"kiln/internal/golden"
	"kiln/internal/hook"
	"kiln/internal/job"
	"kiln/internal/podoptions"
)

// work is the work folder in the runner container.
const work = "/home/runner/_work"

// messages are the mounts that a runner sends with a job container.
func messages() []hook.Mount {
	return []hook.Mount{
		{SourceVolumePath: "/var/run/docker.sock", TargetVolumePath: "/var/run/docker.sock"},
		{SourceVolumePath: work, TargetVolumePath: "/__w"},
		{SourceVolumePath: "/home/runner/externals", TargetVolumePath: "/__e", ReadOnly: true},
		{SourceVolumePath: work + "/_temp", TargetVolumePath: "/__w/_temp"},
		{SourceVolumePath: work + "/_actions", TargetVolumePath: "/__w/_actions"},
		{SourceVolumePath: work + "/_tool", TargetVolumePath: "/__w/_tool"},
		{SourceVolumePath: work + "/_temp/_github_home", TargetVolumePath: "/github/home"},
		{SourceVolumePath: work + "/_temp/_github_workflow", TargetVolumePath: "/github/workflow"},
	}
}

// minimal is a job whose container asks for nothing.
func minimal() job.Spec {
	return job.Spec{
		Name: "kiln-job-1", Namespace: "arc", Dir: strings.Repeat("0a", 16), Door: []byte("door"), Claim: "runner-work", WorkMount: work,
		Container: hook.JobContainer{Container: hook.Container{Image: "debian:12", SystemMountVolumes: messages(), WorkingDirectory: "/__w/app/app"}},
	}
}

// options are those of a job container in a pod.
func options(t *testing.T, text string, volumes ...hook.Mount) (createoptions.Options, podoptions.Spec) {
	t.Helper()
	asked, err := createoptions.Parse(text, createoptions.Outside{})
	if err != nil {
		t.Fatal(err)
	}
	settings, err := podoptions.Of(asked, volumes, podoptions.Place{Name: job.ContainerName, Work: work, Arch: "arm64"})
	if err != nil {
		t.Fatal(err)
	}
	return asked, settings
}

// full is a job whose container asks for much, beside a service.
func full(t *testing.T) job.Spec {
	s := minimal()
	c := &s.Container.Container
	c.EnvironmentVariables = hook.Environment{"HOME": "/root", "TOKEN": "geheim", "EMPTY": "", "CI": "false", "https_proxy": "http://proxy:3128"}
	s.Options, s.Settings = options(t, "--cpus 2 --memory 4g --user 1001 --shm-size=1g --ulimit nofile=1024:-1 --ulimit core=0 --hostname box -e EMPTY=full -e OPTION=$(HOME) -w /srv --add-host db:10.1.2.3",
		hook.Mount{SourceVolumePath: "data", TargetVolumePath: "/data"}, hook.Mount{SourceVolumePath: work + "/app/../cache", TargetVolumePath: "/cache", ReadOnly: true})
	s.NodeName, s.Arch = "node-1", "arm64"
	s.Tolerations = []corev1.Toleration{{Key: "ci", Operator: corev1.TolerationOpExists}}
	s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "kiln-job-1-pull"}, {Name: "registry"}}
	s.SELinux, s.SELinuxChange = &corev1.SELinuxOptions{Level: "s0:c1,c2"}, new(corev1.SELinuxChangePolicyRecursive)
	s.Labels = map[string]string{"kiln.build/request": "1", "kiln.build/role": "job"}
	s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "runner", UID: "uid"}}
	s.Services = job.Services{
		Containers: []corev1.Container{{Name: "redis", Image: "redis:7"}},
		Volumes:    []corev1.Volume{{Name: s.Settings.Volumes[0].Name}, {Name: "more"}},
		Aliases:    []corev1.HostAlias{{IP: "127.0.0.1", Hostnames: []string{"redis"}}},
		Data:       map[string][]byte{"S00E0000": []byte("value")},
		Ports:      []int32{8177, 8178},
	}
	return s
}

// compare compares an object with a file of testdata.
func compare(t *testing.T, name string, object any) {
	t.Helper()
	got, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	golden.File(t, filepath.Join("testdata", name+".yaml"), string(got))
}

func TestGolden(t *testing.T) {
	noexec := minimal()
	noexec.AgentImage = "registry.example.com/kiln:1"
	for name, s := range map[string]job.Spec{"minimal": minimal(), "full": full(t), "noexec": noexec} {
		t.Run(name, func(t *testing.T) {
			pod, err := job.Pod(s)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, name+"-pod", pod)
			secret, skipped, err := job.Secret(s)
			if err != nil || len(skipped) > 0 {
				t.Fatalf("skipped %v, error = %v", skipped, err)
			}
			compare(t, name+"-secret", secret)
		})
	}
}

// TestNoSecretInPod: a pod tells nothing of the environment but names, and neither the
// door's secret nor a password.
func TestNoSecretInPod(t *testing.T) {
	s := full(t)
	s.Door = []byte("sesam")
	pod, err := job.Pod(s)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"geheim", "sesam", "proxy:3128"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the pod holds %q:\n%s", secret, text)
		}
	}
}

// TestEnvironment has the variables of a job container as `docker create` reads them:
// the message's over the options', and one without a value is not set.
func TestEnvironment(t *testing.T) {
	for name, tt := range map[string]struct {
		message hook.Environment
		options string
		want    map[string]string
	}{
		"nothing":             {nil, "", map[string]string{"CI": "true", "GITHUB_ACTIONS": "true", "HOME": "/github/home"}},
		"the author's":        {hook.Environment{"HOME": "/root", "CI": "1", "GITHUB_ACTIONS": "no"}, "", map[string]string{"CI": "1", "GITHUB_ACTIONS": "true", "HOME": "/root"}},
		"empty":               {hook.Environment{"A": "", "CI": ""}, "", map[string]string{"GITHUB_ACTIONS": "true", "HOME": "/github/home"}},
		"by options":          {nil, "-e HOME=/x -e A=1", map[string]string{"CI": "true", "GITHUB_ACTIONS": "true", "HOME": "/x", "A": "1"}},
		"over options":        {hook.Environment{"A": "2"}, "-e A=1", map[string]string{"CI": "true", "GITHUB_ACTIONS": "true", "HOME": "/github/home", "A": "2"}},
		"empty, over options": {hook.Environment{"A": ""}, "-e A=1", map[string]string{"CI": "true", "GITHUB_ACTIONS": "true", "HOME": "/github/home"}},
		"a limit of Go":       {hook.Environment{"GOMEMLIMIT": "2GiB"}, "", map[string]string{"CI": "true", "GITHUB_ACTIONS": "true", "HOME": "/github/home", "GOMEMLIMIT": "2GiB"}},
		"a malformed one":     {hook.Environment{"GOMEMLIMIT": "2G"}, "", map[string]string{"CI": "true", "GITHUB_ACTIONS": "true", "HOME": "/github/home"}},
		"… by options":        {nil, "-e GOMEMLIMIT=512MB", map[string]string{"CI": "true", "GITHUB_ACTIONS": "true", "HOME": "/github/home"}},
		"no expansion":        {hook.Environment{"A": "$(B) $$"}, "", map[string]string{"CI": "true", "GITHUB_ACTIONS": "true", "HOME": "/github/home", "A": "$(B) $$"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := minimal()
			s.Container.Container.EnvironmentVariables = tt.message
			s.Options, s.Settings = options(t, tt.options)
			pod, err := job.Pod(s)
			if err != nil {
				t.Fatal(err)
			}
			secret, _, err := job.Secret(s)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, variable := range pod.Spec.Containers[0].Env {
				got[variable.Name] = string(secret.Data[variable.ValueFrom.SecretKeyRef.Key])
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("environment (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRefused: what no pod can have is the author's to mend.
func TestRefused(t *testing.T) {
	large := strings.Repeat("x", 128<<10)
	for name, tt := range map[string]struct {
		change func(*job.Spec)
		says   string
	}{
		"a mount at two places": {func(s *job.Spec) {
			s.Settings.Mounts = []corev1.VolumeMount{{Name: "v", MountPath: "/__w"}}
		}, "two mounts at /__w"},
		"a mount over the agent": {func(s *job.Spec) {
			s.Settings.Mounts = []corev1.VolumeMount{{Name: "v", MountPath: "/__kiln-agent"}}
		}, "two mounts at /__kiln-agent"},
		"a target without a place": {func(s *job.Spec) {
			s.Container.Container.SystemMountVolumes = []hook.Mount{{SourceVolumePath: work + "/a", TargetVolumePath: "a"}}
		}, "not an absolute path"},
		"a large variable": {func(s *job.Spec) {
			s.Container.Container.EnvironmentVariables = hook.Environment{"A": large}
		}, "the environment variable A has"},
		"a large environment": {func(s *job.Spec) {
			s.Services.Data = map[string][]byte{"S": make([]byte, 1<<20)}
		}, "the job's environment has"},
	} {
		t.Run(name, func(t *testing.T) {
			s := minimal()
			tt.change(&s)
			_, err := job.Pod(s)
			if err == nil {
				_, _, err = job.Secret(s)
			}
			if failure.Of(err) != failure.BadRequest || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error = %v, want %q", err, tt.says)
			}
		})
	}
}

// login is a container with an image and a password.
func login(image, password string) hook.JobContainer {
	return hook.JobContainer{Container: hook.Container{Image: image}, Registry: &hook.Registry{Username: "mona", Password: password}}
}

// TestPullSecrets has each login for the repository of its own image, and Docker Hub's
// for all of it. No login takes another's place.
func TestPullSecrets(t *testing.T) {
	s := full(t)
	const hub = "https://index.docker.io/v1/"
	for name, tt := range map[string]struct {
		containers []hook.JobContainer
		want       []map[string]string // passwords
	}{
		"none":               {[]hook.JobContainer{{Container: hook.Container{Image: "debian"}}}, nil},
		"Docker Hub":         {[]hook.JobContainer{login("acme/app", "a")}, []map[string]string{{hub: "a"}}},
		"by its name":        {[]hook.JobContainer{login("docker.io/acme/app:1", "a")}, []map[string]string{{hub: "a"}}},
		"each its own":       {[]hook.JobContainer{login("ghcr.io/acme/app:1", "a"), login("ghcr.io/acme/db@sha256:"+strings.Repeat("0", 64), "b")}, []map[string]string{{"ghcr.io/acme/app": "a", "ghcr.io/acme/db": "b"}}},
		"one repository":     {[]hook.JobContainer{login("registry:5000/app:1", "a"), login("registry:5000/app:2", "b")}, []map[string]string{{"registry:5000/app": "a"}, {"registry:5000/app": "b"}}},
		"two of Docker Hub":  {[]hook.JobContainer{login("acme/app", "a"), login("ghcr.io/acme/app", "c"), login("other/db", "b")}, []map[string]string{{hub: "a", "ghcr.io/acme/app": "c"}, {hub: "b"}}},
		"one login in three": {[]hook.JobContainer{login("acme/app", "a"), login("acme/db", "a"), login("other/db", "b"), login("other/x", "b")}, []map[string]string{{hub: "a"}, {hub: "b"}}},
		"without names":      {[]hook.JobContainer{login("UPPER", "a"), login("registry.example.com/Team/App:v1", "b"), login("registry.example.com/app:", "c")}, nil},
		"one without a name": {[]hook.JobContainer{login("registry.example.com/Team/App:v1", "a"), login("acme/db", "b")}, []map[string]string{{hub: "b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			secrets, err := job.PullSecrets(s, tt.containers)
			if err != nil {
				t.Fatal(err)
			}
			var got []map[string]string
			names := map[string]bool{}
			for _, secret := range secrets {
				got = append(got, passwords(t, secret))
				names[secret.Name] = true
				if secret.Type != corev1.SecretTypeDockerConfigJson || len(secret.OwnerReferences) != 1 {
					t.Errorf("secret = %v", secret)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("logins (-want +got):\n%s", diff)
			}
			if len(names) != len(tt.want) || len(names) > 0 && !names["kiln-job-1-pull"] {
				t.Errorf("names = %v", names)
			}
		})
	}
}

// passwords are those of a pull Secret, by what they are found by.
func passwords(t *testing.T, secret *corev1.Secret) map[string]string {
	t.Helper()
	var config struct {
		Auths map[string]struct{ Username, Password string }
	}
	if err := json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &config); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for host, login := range config.Auths {
		got[host] = login.Password
	}
	return got
}

// TestRespond has what a runner must find, and an address of either family.
func TestRespond(t *testing.T) {
	text, err := job.Respond(full(t), "fd00::7").JSON()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"state":{"jobPod":"kiln-job-1","kiln":{"dir":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","address":"[fd00::7]:8179","secret":"door"}},"isAlpine":false,` +
		`"context":{"container":{"id":"kiln-job-1/job","network":"kiln-job-1"},"services":[]}}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
	text, err = job.Response{Context: job.Context{Services: []job.Service{{ID: "p/redis", Network: "p", Ports: map[string]string{"6379": "32768"}}}}}.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"state":{},"isAlpine":false,"context":{"services":[{"id":"p/redis","network":"p","ports":{"6379":"32768"}}]}}`, string(text)); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}
