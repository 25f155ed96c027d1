//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilexec "k8s.io/client-go/util/exec"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
	"kiln/internal/doctor"
	"kiln/internal/scaleset"
)

// prepare is a call that the runner makes before a job: it is the delegate's.
const prepareJob = `{"command":"prepare_job","args":{"container":{"image":"node:22"},"services":[]},"state":null}` + "\n"

// A planted is a runner pod with faults, and the findings that they have to
// have: by check, a text of what was seen and one of what to do.
type planted struct {
	name string
	// adjust plants faults in the pod, before in the namespace, daemon in the
	// kiln container, and after once the pod runs. The chart refuses some faults,
	// and those of before and daemon come after it.
	adjust func(*testing.T, suite.Stage, string, *harness.PodOptions)
	before func(*testing.T, suite.Stage, string)
	daemon map[string]string
	after  func(*testing.T, *suite.Fixture)
	// powerless: kiln may delete nothing any more, so what a step had made stays until
	// the runner pod goes.
	powerless bool
	// inside and outside are the faults that each place shows.
	inside, outside map[string][2]string
}

// TestDoctor examines sound installations, and installations with faults, from
// the kiln container and from outside.
func TestDoctor(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{scaleset.Sealed, scaleset.Kubernetes} {
		t.Run("sound "+mode, func(t *testing.T) {
			t.Parallel()
			testSound(t, mode)
		})
	}
	for _, p := range []planted{strangerPod(), nodesElsewhere(), nowhere(), opaqueSecret(), wrongPassword(), accountOfOld()} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			f := suite.New(t, "doctor-"+strings.ReplaceAll(p.name, " ", "-"), func(s suite.Stage, o *harness.PodOptions) {
				namespace := path.Base(o.RegistryHost)
				p.adjust(t, s, namespace, o)
				p.plant(o, func() {
					if p.before != nil {
						p.before(t, s, namespace)
					}
				})
			})
			if p.after != nil {
				p.after(t, f)
			}
			wantFaults(t, examine(t, f), andPlainLogin(f, p.inside))
			wantFaults(t, examineOutside(t, f.Stage, f.Namespace), andPlainLogin(f, p.outside))
			if !p.powerless {
				f.WantNothingLeft(t)
			}
		})
	}
	t.Run("no runner pod", func(t *testing.T) { t.Parallel(); testNoRunnerPod(t) })
}

// plant sets the variables of the kiln container. Before runs when the chart is
// installed and the pod is not there.
func (p planted) plant(o *harness.PodOptions, before func()) {
	more := o.Adjust
	o.Adjust = func(pod *corev1.Pod) {
		before()
		i := slices.IndexFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == harness.DaemonContainer })
		kiln := &pod.Spec.InitContainers[i]
		for name, value := range p.daemon {
			kiln.Env = slices.DeleteFunc(kiln.Env, func(e corev1.EnvVar) bool { return e.Name == name })
			kiln.Env = append(kiln.Env, corev1.EnvVar{Name: name, Value: value})
		}
		if more != nil {
			more(pod)
		}
	}
}

// testSound has a runner that has called its hook: in sealed mode with a Secret,
// in mode kubernetes with a delegate.
func testSound(t *testing.T, mode string) {
	f := suite.New(t, "doctor-sound-"+mode, func(s suite.Stage, o *harness.PodOptions) {
		o.Mode = mode
		if mode == scaleset.Kubernetes {
			o.Delegate = suite.DelegateRoot + "/k8s/index.js"
		} else if s.AuthRegistry != "" {
			o.RegistryHost, o.PullSecret = s.AuthRegistry+"/"+path.Base(o.RegistryHost), harness.PullSecret
		}
	})
	delegate := "none: sealed mode"
	if mode == scaleset.Kubernetes {
		delegate = suite.DelegateRoot + "/k8s/index.js is there"
		f.WantDelegated(t, runner.Step{Raw: []byte(prepareJob)}, suite.DelegateFiles())
	} else { // any call will do that is not one of a run: step
		f.Play(t, runner.Step{Command: runner.CleanupJob}, nil)
	}
	inside := examine(t, f)
	wantFaults(t, inside, andPlainLogin(f, nil))
	for check, text := range map[string]string{
		"exchange": "the runner called the hook last at", "delegate": delegate,
		"node-pull": "pulls", "kaniko-pull": "has the images of a build pod", "permissions": "all 18 rights",
		"door": "one pod reaches another by a socket", "job-started": "the start of a job is kiln's",
	} {
		if !slices.ContainsFunc(inside.Findings, func(f doctor.Finding) bool {
			return f.Check == check && f.Status == doctor.OK && strings.Contains(f.Seen, text)
		}) {
			t.Errorf("%s does not say %q:\n%s", check, text, table(inside))
		}
	}
	wantFaults(t, examineOutside(t, f.Stage, f.Namespace), andPlainLogin(f, nil))
	wantNoFailedStarts(t, f)
	if mode == scaleset.Sealed {
		interruptDoctor(t, f)
	}
	f.WantNothingLeft(t)
}

// interruptDoctor interrupts an examination that has just created a pod.
func interruptDoctor(t *testing.T, f *suite.Fixture) {
	t.Helper()
	pods, err := f.Kube.CoreV1().Pods(f.Namespace).Watch(t.Context(), metav1.ListOptions{LabelSelector: "kiln.build/role=doctor"})
	if err != nil {
		t.Fatal(err)
	}
	defer pods.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := doctor.Run(ctx, doctor.Options{Place: doctor.Outside, Cluster: f.Config, Namespace: f.Namespace, Patience: time.Minute})
		ended <- err
	}()
	select {
	case <-pods.ResultChan():
	case err := <-ended:
		t.Errorf("doctor ended without a pod: %v", err)
		return
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted examination: %v", err)
	}
}

// strangerPod is a runner pod that fits neither its settings nor its namespace.
func strangerPod() planted {
	return planted{
		name: "stranger pod",
		before: func(t *testing.T, s suite.Stage, namespace string) {
			plantSecret(t, s, namespace, corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: "other-key"}, Data: map[string][]byte{"config.json": []byte("{}")},
			})
		},
		adjust: func(_ *testing.T, s suite.Stage, namespace string, o *harness.PodOptions) {
			o.PullSecret = "other-key"
			o.DaemonEnv = map[string]string{"KILN_KANIKO_IMAGE": s.Registry + "/kaniko/executor:v0"}
			if s.AuthRegistry != "" {
				o.RegistryHost = s.AuthRegistry + "/" + namespace
			}
			o.RunnerEnv = map[string]string{"ACTIONS_RUNNER_CONTAINER_HOOKS": "/home/runner/k8s/index.js"}
			o.Adjust = func(pod *corev1.Pod) {
				for i := range pod.Spec.Volumes {
					if v := &pod.Spec.Volumes[i]; v.Name == "work" {
						v.VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
					}
				}
				own := &pod.Spec.Containers[0]
				for i := range own.VolumeMounts {
					if m := &own.VolumeMounts[i]; m.Name == "kiln-exchange" {
						m.Name = "kiln-state"
					}
				}
			}
		},
		daemon: map[string]string{"KILN_TAG": "latest", "KILN_KANIKO_FLAVOUR": "chainguard"},
		after: func(t *testing.T, f *suite.Fixture) {
			enforce := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
			if _, err := f.Kube.CoreV1().Namespaces().Patch(t.Context(), f.Namespace, types.MergePatchType, enforce, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
			withoutRight(t, f, "pods/attach")
		},
		inside: map[string][2]string{
			"hook":         {"/home/runner/k8s/index.js", "set it to /opt/kiln/hook.sh"},
			"work-volume":  {"not a persistent volume claim", "mount the whole of a persistent volume claim"},
			"settings":     {`KILN_TAG is "latest"`, "write content or random"},
			"settings 2":   {"KILN_KANIKO_FLAVOUR is no setting", "write KILN_KANIKO_FLAVOR"},
			"exchange":     {"not shared", "mount one emptyDir in both"},
			"state":        {"runner mounts the daemon's state", "in the container kiln alone"},
			"permissions":  {"may not get, create pods/attach", "the Role kiln"},
			"pod-security": {"violates PodSecurity", "enforce=baseline"},
			"secret":       {"has no key .dockerconfigjson", "--type=kubernetes.io/dockerconfigjson"},
			"login":        {"asks for credentials", "create the Secret"},
			"kaniko":       {"there is no image", "KILN_KANIKO_IMAGE"},
		},
		outside: map[string][2]string{
			"hook":         {"/home/runner/k8s/index.js", "set it to /opt/kiln/hook.sh"},
			"work-volume":  {"not a persistent volume claim", "mount the whole of a persistent volume claim"},
			"settings":     {`KILN_TAG is "latest"`, "write content or random"},
			"settings 2":   {"KILN_KANIKO_FLAVOUR is no setting", "write KILN_KANIKO_FLAVOR"},
			"exchange":     {"not shared", "mount one emptyDir in both"},
			"state":        {"runner mounts the daemon's state", "in the container kiln alone"},
			"permissions":  {"the service account kiln may not get, create pods/attach", "the Role kiln"},
			"pod-security": {"violates PodSecurity", "enforce=baseline"},
			"secret":       {"is of type Opaque", "--type=kubernetes.io/dockerconfigjson"},
		},
	}
}

// nodesElsewhere is an installation whose nodes are told to pull from where
// nothing is, and whose runner has no delegate where it is said to be.
func nodesElsewhere() planted {
	return planted{
		name: "nodes elsewhere",
		adjust: func(_ *testing.T, _ suite.Stage, _ string, o *harness.PodOptions) {
			o.RunnerEnv = map[string]string{"KILN_DELEGATE": "/nowhere/k8s-novolume/index.js"}
		},
		daemon: map[string]string{
			"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PULL": "127.0.0.1:1/kiln",
			"ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE":                "/etc/kiln/none.yaml",
		},
		after: func(t *testing.T, f *suite.Fixture) {
			result := f.Play(t, runner.Step{Repository: "acme/app", Raw: []byte(prepareJob)}, nil)
			outcome.Error(t, result, "/nowhere/k8s-novolume/index.js")
		},
		inside: map[string][2]string{
			"hook":      {"kubernetes-novolume", "sealed mode"},
			"settings":  {"ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE: open /etc/kiln/none.yaml", "mount the file"},
			"node-pull": {"127.0.0.1:1", "set ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PULL"},
			"delegate":  {"/nowhere/k8s-novolume/index.js", "name the stock hook"},
		},
		outside: map[string][2]string{
			"hook":     {"kubernetes-novolume", "sealed mode"},
			"settings": {"ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE: open /etc/kiln/none.yaml", "mount the file"},
		},
	}
}

// nowhere is an installation with a registry that nobody has, whose runner calls
// no hook.
func nowhere() planted {
	return planted{
		name: "nowhere",
		adjust: func(_ *testing.T, _ suite.Stage, _ string, o *harness.PodOptions) {
			o.RegistryHost, o.PullSecret = "kiln-nowhere.invalid:5000/x", "absent"
			o.RunnerEnv = map[string]string{"ACTIONS_RUNNER_CONTAINER_HOOKS": ""}
			o.Adjust = func(pod *corev1.Pod) {
				own := &pod.Spec.Containers[0]
				for i := range own.VolumeMounts {
					if m := &own.VolumeMounts[i]; m.Name == "kiln-exchange" {
						m.ReadOnly = true
					}
				}
			}
		},
		daemon: map[string]string{"KILN_KANIKO_FLAVOR": "podman", "KILN_BUILD_TIMEOUT": "soon"},
		inside: map[string][2]string{
			"hook":     {"ACTIONS_RUNNER_CONTAINER_HOOKS is not set", "/opt/kiln/hook.sh"},
			"exchange": {"read-only", "remove readOnly"},
			"settings": {`KILN_BUILD_TIMEOUT is "soon"`, "write it as 30m"},
			"secret":   {"there is no such Secret", "kubectl create secret generic absent"},
			"registry": {"kiln-nowhere.invalid:5000 does not answer", "correct ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST"},
			"kaniko":   {`KILN_KANIKO_FLAVOR: it is "podman"`, "write chainguard@"},
		},
		outside: map[string][2]string{
			"hook":     {"ACTIONS_RUNNER_CONTAINER_HOOKS is not set", "/opt/kiln/hook.sh"},
			"exchange": {"read-only", "remove readOnly"},
			"settings": {`KILN_BUILD_TIMEOUT is "soon"`, "write it as 30m"},
			"secret":   {"there is no such Secret", "kubectl create secret generic absent"},
			"kaniko":   {`KILN_KANIKO_FLAVOR: it is "podman"`, "write chainguard@"},
		},
	}
}

// opaqueSecret is an installation whose Secret has the right key and the type
// that nodes do not take.
func opaqueSecret() planted {
	return planted{
		name: "opaque secret",
		adjust: func(t *testing.T, s suite.Stage, namespace string, o *harness.PodOptions) {
			needAuth(t, s)
			o.RegistryHost, o.PullSecret = s.AuthRegistry+"/"+namespace, "opaque"
		},
		before: func(t *testing.T, s suite.Stage, namespace string) {
			right, err := s.Kube.CoreV1().Secrets(namespace).Get(t.Context(), harness.PullSecret, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			plantSecret(t, s, namespace, corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "opaque"}, Data: right.Data})
		},
		inside:  map[string][2]string{"node-pull": {"the node cannot pull", "of type kubernetes.io/dockerconfigjson"}},
		outside: map[string][2]string{"secret": {"is of type Opaque", "--type=kubernetes.io/dockerconfigjson"}},
	}
}

// wrongPassword is an installation whose Secret has a password of old.
func wrongPassword() planted {
	return planted{
		name: "wrong password",
		adjust: func(t *testing.T, s suite.Stage, namespace string, o *harness.PodOptions) {
			needAuth(t, s)
			if err := s.RegistrySecret(t.Context(), namespace, "old", s.AuthUser, "of-old"); err != nil {
				t.Fatal(err)
			}
			o.RegistryHost, o.PullSecret = s.AuthRegistry+"/"+namespace, "old"
		},
		inside: map[string][2]string{"login": {"refuses the credentials", "create the Secret"}},
	}
}

// testNoRunnerPod examines a namespace before its first runner.
func testNoRunnerPod(t *testing.T) {
	s := suite.Open(t)
	namespace := s.NewNamespace(t, "doctor-empty")
	if err := s.Namespace(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	wantFaults(t, examineOutside(t, s, namespace), map[string][2]string{
		"settings":   {"there is no ConfigMap kiln", "install the chart"},
		"settings 2": {"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST is not set", "write the registry to push to"},
	})
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kiln"}, Data: map[string]string{
		"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST": s.Registry + "/" + namespace,
		"KILN_KANIKO_IMAGE": s.KanikoImage, "KILN_KANIKO_FLAVOR": s.KanikoFlavor, "KILN_INSECURE_REGISTRIES": s.Insecure,
	}}
	if _, err := s.Kube.CoreV1().ConfigMaps(namespace).Create(t.Context(), settings, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	wantFaults(t, examineOutside(t, s, namespace), nil)
}

// andPlainLogin adds the fault of an installation whose registry gets its login
// without TLS.
func andPlainLogin(f *suite.Fixture, faults map[string][2]string) map[string][2]string {
	host, named := f.Installed.Settings["KILN_PLAIN_LOGIN"]
	if !named {
		return faults
	}
	all := map[string][2]string{"plain-login": {host, "KILN_PLAIN_LOGIN"}}
	maps.Copy(all, faults)
	return all
}

// needAuth skips a test that needs a registry with credentials.
func needAuth(t *testing.T, s suite.Stage) {
	t.Helper()
	if s.AuthRegistry == "" {
		t.Skip("KILN_E2E_AUTH_REGISTRY is not set")
	}
}

func plantSecret(t *testing.T, s suite.Stage, namespace string, secret corev1.Secret) {
	t.Helper()
	secret.Labels = map[string]string{"kiln-harness": "true"}
	if _, err := s.Kube.CoreV1().Secrets(namespace).Create(t.Context(), &secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// withoutRight takes a resource out of kiln's Role.
func withoutRight(t *testing.T, f *suite.Fixture, resource string) {
	t.Helper()
	roles := f.Kube.RbacV1().Roles(f.Namespace)
	role, err := roles.Get(t.Context(), "kiln", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	role.Rules = slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, resource) })
	if _, err := roles.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// examine runs doctor in the kiln container, and again where its report did not arrive
// whole: an exec may end before all of its output is there.
func examine(t *testing.T, f *suite.Fixture) doctor.Report {
	t.Helper()
	report, code, err := runDoctor(t.Context(), f)
	for try, cut := 1, (*json.SyntaxError)(nil); try < 5 && errors.As(err, &cut); try++ {
		report, code, err = runDoctor(t.Context(), f)
	}
	if err != nil {
		t.Fatalf("doctor: %v", err)
	}
	if want := min(report.Faults, 1); code != want {
		t.Errorf("doctor found %d faults and ended with %d", report.Faults, code)
	}
	return report
}

// runDoctor runs doctor in the kiln container and returns its report and exit code.
func runDoctor(ctx context.Context, f *suite.Fixture) (report doctor.Report, code int, err error) {
	var stdout, stderr bytes.Buffer
	err = f.Exec(ctx, harness.Exec{
		Namespace: f.Namespace, Pod: f.Pod, Container: harness.DaemonContainer,
		Command: []string{"/kilnd", "doctor", "--output=json"}, Stdout: &stdout, Stderr: &stderr,
	})
	if exit := (utilexec.CodeExitError{}); errors.As(err, &exit) {
		code, err = exit.Code, nil
	}
	if err == nil {
		err = json.Unmarshal(stdout.Bytes(), &report)
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s%s", err, stdout.String(), stderr.String())
	}
	return report, code, err
}

// examineOutside runs doctor as on an operator's machine.
func examineOutside(t *testing.T, s suite.Stage, namespace string) doctor.Report {
	t.Helper()
	report, err := doctor.Run(t.Context(), doctor.Options{
		Place: doctor.Outside, Cluster: s.Config, Namespace: namespace, Patience: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// wantFaults fails the test unless the report has just those faults, each by its
// check, what was seen and what to do.
func wantFaults(t *testing.T, r doctor.Report, want map[string][2]string) {
	t.Helper()
	missing := map[string]bool{}
	for check := range want {
		missing[check] = true
	}
	for _, finding := range r.Findings {
		if finding.Status != doctor.Fail {
			continue
		}
		meant := slices.IndexFunc([]string{finding.Check, finding.Check + " 2"}, func(check string) bool {
			texts, ok := want[check]
			return ok && strings.Contains(finding.Seen, texts[0]) && strings.Contains(finding.Mend, texts[1])
		})
		if meant < 0 {
			t.Errorf("from %s: a fault that nobody planted: %+v", r.Place, finding)
			continue
		}
		delete(missing, []string{finding.Check, finding.Check + " 2"}[meant])
	}
	for check := range missing {
		t.Errorf("from %s: %s does not find %q", r.Place, check, want[check])
	}
	if t.Failed() {
		t.Log("\n" + table(r))
	}
}

func table(r doctor.Report) string {
	var b strings.Builder
	_ = r.Table(&b) // a Builder takes everything
	return b.String()
}
