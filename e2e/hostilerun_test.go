//go:build e2e

package e2e_test

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/suite"
)

// hit is what the probe says of a credential that it found.
const hit = "probe: found in "

// TestHostileRun has a RUN step look for the registry's credentials wherever it
// can, ask the gate for what no build needs, make itself the registry by the
// files that it shares with the gate, and open a raw socket.
func TestHostileRun(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "hostilerun", suite.AuthRegistry(t, harness.PullSecret))
	words := harness.Files{"_actions/acme/hostile-run/v1/words": {Data: []byte(backwards(f))}}
	results := f.Use(t, f.Testdata("hostile-run"), harness.Use{Uses: "acme/hostile-run@v1"}, words)
	outcome.Success(t, results...)
	log := results[0].Log
	outcome.Log(t, results[0], "probe: looked at ", "probe: end")
	if strings.Contains(log, hit) {
		t.Errorf("a RUN step found a credential:\n%s", outcome.Tail(log))
	}
	wantRefusals(t, log)
	registry, _, _ := strings.Cut(f.AuthRegistry, ":")
	outcome.Log(t, results[0], "probe: rewrote the names", "probe: heard 0 bytes for "+registry+"\n", "probe: raw socket: ")
	if raw := regexp.MustCompile(`probe: raw socket: .*`).FindString(log); !strings.Contains(strings.ToLower(raw), "not permitted") {
		t.Errorf("a RUN step may open a raw socket: %s", raw)
	}
	f.WantHarmlessBuildPods(t)
}

// wantRefusals fails the test unless the gate refused every request of the
// probe and the log names the rule of the first ten.
func wantRefusals(t *testing.T, log string) {
	t.Helper()
	answers := regexp.MustCompile(`probe: ([A-Z]+) (/\S+): (\d*)`).FindAllStringSubmatch(log, -1)
	if len(answers) != 16 {
		t.Errorf("the probe had %d answers, want 16:\n%s", len(answers), outcome.Tail(log))
	}
	for _, answer := range answers {
		want := "403"
		if strings.Contains(answer[2], "?mount=") { // becomes an upload of the build's own
			want = "202"
		}
		if answer[3] != want {
			t.Errorf("%s %s was answered with %q, want %s", answer[1], answer[2], answer[3], want)
		}
	}
	rule := regexp.MustCompile(`kiln: the gate refused [A-Z]+ /v2/\S*: (not a request that a build needs|the Dockerfile |a build pushes |a manifest |the manifest )`)
	refusals, named := strings.Count(log, "kiln: the gate refused "), len(rule.FindAllString(log, -1))
	if refusals != 10 || named != refusals {
		t.Errorf("the log has %d refusals and %d with a rule, want 10 of both:\n%s", refusals, named, outcome.Tail(log))
	}
}

// TestHostileRunFinds runs the same probe where the credentials are what Kaniko
// without kiln needs them to be: mounted into its container.
func TestHostileRunFinds(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "hostilerunfinds", suite.AuthRegistry(t, harness.PullSecret))
	probe, err := harness.ReadAction(f.Testdata("hostile-run"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := probe.Files(harness.Use{Uses: "acme/hostile-run@v1"})
	if err != nil {
		t.Fatal(err)
	}
	script := string(files["_actions/acme/hostile-run/v1/probe.sh"].Data)
	_, err = f.Kube.CoreV1().Pods(f.Namespace).Create(t.Context(), probePod(f, script), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = f.Await(t.Context(), f.Namespace, "probe", func(pod *corev1.Pod) (bool, error) {
		return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	log, err := f.Kube.CoreV1().Pods(f.Namespace).GetLogs("probe", &corev1.PodLogOptions{}).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{hit + "/kaniko/.docker/", hit + "environment", "probe: end"} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the probe does not say %q:\n%s", want, outcome.Tail(string(log)))
		}
	}
}

// probePod is a pod that runs the probe beside the registry's Secret.
func probePod(f *suite.Fixture, script string) *corev1.Pod {
	const start = `printf %s "$1" > /tmp/probe.sh; printf %s "$2" > /tmp/words; exec sh /tmp/probe.sh /tmp/words`
	secret := corev1.LocalObjectReference{Name: harness.PullSecret}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe"},
		Spec: corev1.PodSpec{
			RestartPolicy:                corev1.RestartPolicyNever,
			AutomountServiceAccountToken: new(false),
			Volumes: []corev1.Volume{{Name: "registry", VolumeSource: corev1.VolumeSource{
				Secret: &corev1.SecretVolumeSource{SecretName: secret.Name},
			}}},
			Containers: []corev1.Container{{
				Name: "kaniko", Image: f.Busybox(),
				Command: []string{"sh", "-c", start, "sh", script, backwards(f)},
				Env: []corev1.EnvVar{{Name: "CONFIG", ValueFrom: &corev1.EnvVarSource{
					SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: secret, Key: corev1.DockerConfigJsonKey},
				}}},
				VolumeMounts: []corev1.VolumeMount{{Name: "registry", MountPath: "/kaniko/.docker"}},
			}},
		},
	}
}

// backwards are the words that the probe looks for: the password, as it is and
// in base64, where what is before it moves it by up to two bytes.
func backwards(f *suite.Fixture) string {
	words := []string{f.AuthPassword, base64.StdEncoding.EncodeToString([]byte(f.AuthUser + ":" + f.AuthPassword))}
	for shift := range 3 {
		moved := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + f.AuthPassword))
		words = append(words, moved[4*min(shift, 1):len(moved)-2])
	}
	var lines strings.Builder
	for _, word := range words {
		letters := []byte(word)
		slices.Reverse(letters)
		lines.WriteString(string(letters) + "\n")
	}
	return lines.String()
}
