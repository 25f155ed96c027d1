package doctor

import (
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/registry"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
)

func TestKubernetesReleases(t *testing.T) {
	for release, want := range map[string]Status{
		"v1.28.15": Fail, "v1.29.0": OK, "v1.34.1+k3s1": OK, "v1.33.4-gke.1245000": OK, "v1.29.0-alpha.1": OK, "v2.0.0": OK, "main": Warn, "": Warn,
	} {
		if findings := kubernetesFindings(release); worst(findings) != want {
			t.Errorf("%q: %+v, want %s", release, findings, want)
		}
	}
	wantFinding(t, kubernetesFindings("v1.28.15"), Fail, "Kubernetes is v1.28.15", "upgrade the cluster to 1.29 or newer")
}

func TestOldNodes(t *testing.T) {
	node := func(name, kubelet string) corev1.Node {
		return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KubeletVersion: kubelet}}}
	}
	if findings := nodeFindings([]corev1.Node{node("a", "v1.29.1"), node("b", "v1.35.0-eks-1"), node("c", "")}); len(findings) > 0 {
		t.Errorf("findings = %+v", findings)
	}
	wantFinding(t, nodeFindings([]corev1.Node{node("a", "v1.29.1"), node("b", "v1.28.9")}), Fail, "no native sidecars: b (v1.28.9)", "upgrade them")
}

func TestARCReleases(t *testing.T) {
	for release, want := range map[string]Status{"0.11.0": Fail, "0.12.0": OK, "0.14.2": OK, "canary": Skip} {
		if findings := releaseFindings(release); worst(findings) != want {
			t.Errorf("%q: %+v, want %s", release, findings, want)
		}
	}
}

func TestClocks(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	ahead := func(d time.Duration) clockReading { return clockReading{Says: now.Add(d), At: now} }
	for name, tt := range map[string]struct {
		server, registry clockReading
		status           Status
		seen             string
	}{
		"same":            {ahead(0), ahead(0), OK, "within 30s"},
		"a little":        {ahead(29 * time.Second), ahead(-29 * time.Second), OK, "within 30s"},
		"behind":          {ahead(45 * time.Second), ahead(0), Warn, "45s behind the API server"},
		"ahead":           {ahead(0), ahead(-299 * time.Second), Warn, "4m59s ahead of the registry"},
		"far":             {ahead(5 * time.Minute), ahead(0), Fail, "5m0s behind the API server"},
		"nobody tells":    {clockReading{}, clockReading{}, Skip, "tells the time"},
		"one of them far": {clockReading{}, ahead(-time.Hour), Fail, "1h0m0s ahead of the registry"},
	} {
		t.Run(name, func(t *testing.T) {
			findings := clockFindings(tt.server, tt.registry)
			wantFinding(t, findings, tt.status, tt.seen, "")
			if worst(findings) != tt.status {
				t.Errorf("findings = %+v", findings)
			}
		})
	}
	if got := reading("nonsense", 0); got != (clockReading{}) {
		t.Errorf("a date that is none: %+v", got)
	}
}

func TestLacks(t *testing.T) {
	e := &examination{Options: Options{Namespace: "runners"}}
	all := Rights()
	findings := e.lackFindings([]lack{
		{"", all[0], "get"}, {"", all[0], "patch"}, {"other", all[3], "create"}, {"", all[5], "list"},
	})
	wantFinding(t, findings, Fail, "kiln's service account may not get, patch pods in namespace runners", "the verbs get, patch on pods")
	wantFinding(t, findings, Fail, "kiln's service account may not get, patch pods", "install kiln's chart, or apply manifests/, again, which binds the Role kiln")
	wantFinding(t, findings, Fail, "the service account other may not create jobs.batch", "the verbs create on jobs.batch")
	wantFinding(t, findings, Fail, "the service account other may not create jobs.batch", "name other in serviceAccounts of kiln's chart, which binds the Role kiln")
	kube := e.lackFindings([]lack{{"my-set-gha-rs-kube-mode", all[0], "watch"}})
	wantFinding(t, kube, Fail, "my-set-gha-rs-kube-mode may not watch pods", "name my-set in scaleSets of kiln's chart")
	wantFinding(t, findings, Warn, "may not list events", "")
	if len(findings) != 3 {
		t.Errorf("findings = %+v", findings)
	}
}

func TestSettingFindings(t *testing.T) {
	for text, want := range map[string][2]string{
		`KILN_TAG is "x": write content or random`:                         {`KILN_TAG is "x"`, "write content or random"},
		"KILN_POD_NAME is not set: set it from the downward API":           {"KILN_POD_NAME is not set", "set it from the downward API"},
		"KILN_CONTEXT_MAX_BYTES must be more than zero":                    {"KILN_CONTEXT_MAX_BYTES must be more than zero", "correct it"},
		"KILN_BUILD_TEMPLATE: open x: no such file: mount the file in the": {"KILN_BUILD_TEMPLATE: open x: no such file", "mount the file in the"},
	} {
		f := settingFinding(text)
		if f.Seen != want[0] {
			t.Errorf("%q: seen %q", text, f.Seen)
		}
		wantFinding(t, []Finding{f}, Fail, want[0], want[1])
	}
}

func TestGreetings(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	wantFinding(t, greetingFindings(spool.Hello{}, at), OK, "sealed mode (the hook at 2030-01-02T03:04:05Z)", "")
	wantFinding(t, greetingFindings(spool.Hello{Delegate: "/k8s/index.js"}, at), OK, "/k8s/index.js is there", "")
	wantFinding(t, greetingFindings(spool.Hello{Delegate: "/x.js", Problem: "KILN_DELEGATE is /x.js, and there is no such file"}, at), Fail, "no such file", "name the stock hook")
}

// waits is a container status with a reason to wait.
func waits(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Image: "r.io/i@sha256:0", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func TestPulled(t *testing.T) {
	ended := corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "StartError", ExitCode: 128}}}
	for name, tt := range map[string]struct {
		statuses []corev1.ContainerStatus
		done     bool
		wantErr  string
	}{
		"nothing":        {nil, false, ""},
		"one of two":     {[]corev1.ContainerStatus{ended}, false, ""},
		"creating":       {[]corev1.ContainerStatus{ended, waits("ContainerCreating", "")}, false, ""},
		"both started":   {[]corev1.ContainerStatus{ended, ended}, true, ""},
		"start error":    {[]corev1.ContainerStatus{ended, waits("RunContainerError", "no such file")}, true, ""},
		"create error":   {[]corev1.ContainerStatus{ended, waits("CreateContainerError", "no command specified")}, true, ""},
		"pull error":     {[]corev1.ContainerStatus{ended, waits("ErrImagePull", "dial tcp: refused")}, true, "the node cannot pull image r.io/i@sha256:0: dial tcp: refused"},
		"back-off":       {[]corev1.ContainerStatus{ended, waits("ImagePullBackOff", "not found")}, true, "the node cannot pull image r.io/i@sha256:0: not found"},
		"name":           {[]corev1.ContainerStatus{ended, waits("InvalidImageName", "")}, true, "not a valid image name"},
		"unknown reason": {[]corev1.ContainerStatus{ended, waits("SomethingNew", "x")}, true, "SomethingNew"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: make([]corev1.Container, 2)}}
			pod.Status.Phase, pod.Status.ContainerStatuses = corev1.PodPending, tt.statuses
			done, err := pulled(pod)
			if done != tt.done || (err == nil) != (tt.wantErr == "") {
				t.Errorf("pulled = %v, %v", done, err)
			}
			if err != nil {
				wantFinding(t, fail(err.Error(), ""), Fail, tt.wantErr, "")
			}
		})
	}
	evicted := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "disk"}}
	if done, err := pulled(evicted); !done || err == nil || err.Error() != "Evicted: disk" {
		t.Errorf("an evicted pod: %v, %v", done, err)
	}
}

func TestPullAdvice(t *testing.T) {
	for message, want := range map[string]string{
		"dial tcp: lookup kiln-registry: no such host":               "set " + envRegistryPull,
		"http: server gave HTTP response to HTTPS client":            "speak plain HTTP to pull.io",
		"tls: failed to verify certificate: x509: unknown authority": "trust the certificate of pull.io",
		"401 Unauthorized": "of type kubernetes.io/dockerconfigjson",
		"pull access denied, repository does not exist": "of type kubernetes.io/dockerconfigjson",
		"pull.io/x@sha256:0: not found":                 "does not have what was pushed to push.io",
		"something else":                                "look at the events",
	} {
		wantFinding(t, fail("", pullMend(message, "pull.io", "push.io")), Fail, "", want)
	}
}

func TestPullPod(t *testing.T) {
	from := corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		RestartPolicy:    corev1.RestartPolicyNever,
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "s"}},
		NodeSelector:     map[string]string{"pool": "ci", corev1.LabelArchStable: "amd64"},
		InitContainers:   []corev1.Container{{Name: "init"}},
		Volumes:          []corev1.Volume{{Name: "work"}},
		Containers: []corev1.Container{
			{
				Name: "job", Image: "old", Args: []string{"a"}, Env: []corev1.EnvVar{{Name: "SECRET"}},
				VolumeMounts: []corev1.VolumeMount{{Name: "work", MountPath: "/__w"}}, SecurityContext: &corev1.SecurityContext{Privileged: new(false)},
			},
			{Name: "other", Image: "other"},
		},
	}}
	e := &examination{Options: Options{Place: Sidecar, Patience: time.Minute}, arch: "arm64", self: runnerpod.Self{Name: "runner", UID: "u"}}
	pod := e.pullPod(from, map[string]trialContainer{"job": {image: "r.io/i@sha256:0", args: []string{"version"}}})
	want := []corev1.Container{{Name: "job", Image: "r.io/i@sha256:0", Args: []string{"version"}, SecurityContext: &corev1.SecurityContext{Privileged: new(false)}}}
	if diff := cmp.Diff(want, pod.Spec.Containers); diff != "" {
		t.Errorf("containers differ (-want +got):\n%s", diff)
	}
	if len(pod.Spec.Volumes)+len(pod.Spec.InitContainers) > 0 || pod.Spec.NodeSelector[corev1.LabelArchStable] != "arm64" || pod.Spec.NodeSelector["pool"] != "ci" ||
		pod.Spec.ImagePullSecrets[0].Name != "s" || *pod.Spec.ActiveDeadlineSeconds != 80 {
		t.Errorf("spec = %+v", pod.Spec)
	}
	if diff := cmp.Diff([]metav1.OwnerReference{e.self.Owner()}, pod.OwnerReferences); diff != "" || pod.Labels["runner-pod"] != "" {
		t.Errorf("metadata = %+v", pod.ObjectMeta)
	}
	if from.Spec.NodeSelector[corev1.LabelArchStable] != "amd64" {
		t.Error("the template was changed")
	}
	e.Place = Outside
	if pod := e.pullPod(from, nil); len(pod.OwnerReferences) > 0 {
		t.Errorf("from outside the pod belongs to a runner: %+v", pod.ObjectMeta)
	}
}

func TestTrialImage(t *testing.T) {
	first, err := trialImage("arm64", "r.io/a:r-1")
	if err != nil {
		t.Fatal(err)
	}
	second, err := trialImage("arm64", "r.io/a:r-2")
	if err != nil {
		t.Fatal(err)
	}
	config, err := first.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	one, err1 := first.Digest()
	two, err2 := second.Digest()
	if err := errors.Join(err1, err2); err != nil || one == two {
		t.Errorf("digests %s and %s, %v", one, two, err)
	}
	if config.OS != "linux" || config.Architecture != "arm64" || len(config.RootFS.DiffIDs) != 1 {
		t.Errorf("config = %+v", config)
	}
}

func TestUnreachable(t *testing.T) {
	for name, tt := range map[string]struct {
		place  Place
		err    error
		status Status
		mend   string
	}{
		"refused":               {Sidecar, &registry.LookupError{Kind: registry.Unreachable, Err: errors.New("connection refused")}, Fail, "let the runner pods reach r.io"},
		"refused, from outside": {Outside, &registry.LookupError{Kind: registry.Unreachable, Err: errors.New("connection refused")}, Warn, "no runner pod"},
		"plain HTTP":            {Outside, &registry.LookupError{Kind: registry.Unreachable, Err: errors.New("http: server gave HTTP response to HTTPS client")}, Fail, "KILN_INSECURE_REGISTRIES"},
		"not allowed": {
			Sidecar, &registry.LookupError{Kind: registry.Unreachable, Err: &registry.SettingsError{Err: errors.New("plain HTTP is not allowed")}},
			Fail, "KILN_INSECURE_REGISTRIES",
		},
		"certificate": {
			Outside, &registry.LookupError{Kind: registry.Unreachable, Err: &tls.CertificateVerificationError{Err: errors.New("unknown authority")}},
			Fail, "registry.caConfigMap",
		},
		"no registry": {Outside, &registry.LookupError{Kind: registry.NotFound, Err: errors.New("404")}, Fail, "no image registry"},
	} {
		t.Run(name, func(t *testing.T) {
			e := &examination{Options: Options{Place: tt.place}}
			wantFinding(t, e.unreachable("r.io", tt.err), tt.status, "r.io", tt.mend)
		})
	}
}
