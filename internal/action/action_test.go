package action_test

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kiln/internal/action"
	"kiln/internal/failure"
	"kiln/internal/golden"
	"kiln/internal/hook"
)

// step is a step as a runner in a pod sends it.
func step() action.Step {
	const work = "/home/runner/_work"
	return action.Step{
		Name:      "kiln-1",
		Namespace: "arc",
		Image:     "registry.example/kiln/app@sha256:" + strings.Repeat("0", 64),
		Container: hook.Container{
			Dockerfile:       work + "/_actions/acme/lint/v1/Dockerfile",
			EntryPointArgs:   []string{`"--msg"`, `"hello`, `world"`, `"$HOME`, `$(date)"`},
			WorkingDirectory: "/github/workspace",
			EnvironmentVariables: hook.Environment{
				"INPUT_WHO-TO": "Mona", "ACTIONS_RUNTIME_TOKEN": "secret", "HOME": "/github/home",
			},
			SystemMountVolumes: []hook.Mount{
				{SourceVolumePath: "/var/run/docker.sock", TargetVolumePath: "/var/run/docker.sock"},
				{SourceVolumePath: work + "/_temp", TargetVolumePath: "/github/runner_temp"},
				{SourceVolumePath: work + "/_temp/_github_home", TargetVolumePath: "/github/home"},
				{SourceVolumePath: work + "/_temp/_github_workflow", TargetVolumePath: "/github/workflow", ReadOnly: true},
				{SourceVolumePath: work + "/_temp/_runner_file_commands", TargetVolumePath: "/github/file_commands"},
				{SourceVolumePath: work + "/app/app", TargetVolumePath: "/github/workspace"},
			},
			UserMountVolumes: []hook.Mount{{SourceVolumePath: "/etc", TargetVolumePath: "/host"}},
		},
		Claim:            "runner-work",
		WorkMount:        work,
		NodeName:         "node-1",
		Arch:             "arm64",
		Tolerations:      []corev1.Toleration{{Key: "ci", Operator: corev1.TolerationOpExists}},
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
		SELinux:          &corev1.SELinuxOptions{Level: "s0:c1,c2"},
		SELinuxChange:    new(corev1.SELinuxChangePolicyRecursive),
		Labels:           map[string]string{"kiln.build/request": "1", "kiln.build/role": "action"},
		OwnerReferences:  []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "runner", UID: "uid"}},
	}
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
	minimal := action.Step{
		Name: "kiln-2", Namespace: "arc", Image: "alpine", Claim: "runner-work", WorkMount: "/w",
		Container: hook.Container{EntryPoint: "/bin/$x"},
	}
	for name, s := range map[string]action.Step{"full": step(), "minimal": minimal} {
		t.Run(name, func(t *testing.T) {
			job, err := action.Job(s)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, name+"-job", job)
			secret, skipped, err := action.Secret(s)
			if err != nil || len(skipped) > 0 {
				t.Fatalf("skipped %v, error = %v", skipped, err)
			}
			compare(t, name+"-secret", secret)
		})
	}
}

// container returns the only container of a step's Job.
func container(t *testing.T, s action.Step) corev1.Container {
	t.Helper()
	job, err := action.Job(s)
	if err != nil {
		t.Fatal(err)
	}
	return job.Spec.Template.Spec.Containers[0]
}

// TestEnvironmentMatches: what the container's references find in the Secret is
// the step's environment, whatever the names.
func TestEnvironmentMatches(t *testing.T) {
	s := step()
	s.SecretName = "other"
	s.Container.EnvironmentVariables = hook.Environment{
		"INPUT_A B": "space", "INPUT_FOO!": "bang", "1": "digit", "EMPTY": "", "LINES": "a\nb$(HOME)$$",
		"INPUT_Ä": "not ASCII", "": "no name", "A=B": "equals", "TAB\t": "tab", "NUL": "a\x00b", "CI": "false",
	}
	secret, skipped, err := action.Secret(s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"", "A=B", "INPUT_Ä", "NUL", "TAB\t"}, skipped); diff != "" {
		t.Errorf("skipped names differ (-want +got):\n%s", diff)
	}
	got := make(map[string]string)
	for _, variable := range container(t, s).Env {
		ref := variable.ValueFrom.SecretKeyRef
		if ref.Name != "other" || secret.Name != "other" {
			t.Errorf("secret %s, reference to %s, want other", secret.Name, ref.Name)
		}
		got[variable.Name] = string(secret.Data[ref.Key])
	}
	want := hook.StepEnv(s.Container)
	maps.DeleteFunc(want, func(name, _ string) bool { return slices.Contains(skipped, name) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment differs (-want +got):\n%s", diff)
	}
}

func TestEnvironmentTooLarge(t *testing.T) {
	s := step()
	s.Container.EnvironmentVariables = hook.Environment{"CI": "1"}
	for left, i := 1<<20-len("1true"), 0; left > 0; i++ {
		name := fmt.Sprintf("BIG%d", i)
		s.Container.EnvironmentVariables[name] = strings.Repeat("x", min(left, 100<<10))
		left -= min(left, 100<<10)
	}
	if _, _, err := action.Secret(s); err != nil {
		t.Errorf("1 MiB of values: %v", err)
	}
	s.Container.EnvironmentVariables["CI"] += "x"
	_, _, err := action.Secret(s)
	if err == nil || !strings.Contains(err.Error(), "1048577 bytes") {
		t.Fatalf("error = %v, want one with the size", err)
	}
	if reason := failure.Of(err); reason != failure.BadRequest {
		t.Errorf("it counts as %s", reason)
	}
}

func TestCommandLine(t *testing.T) {
	tests := map[string]struct {
		entryPoint    string
		args          []string
		command, list []string
	}{
		"the image's own": {},
		"arguments only":  {args: []string{"a", `"b`, `c"`}, list: []string{"a", "b c"}},
		"entry point only": {
			entryPoint: "/entry point.sh", command: []string{"/entry point.sh"},
		},
		"nothing is expanded": {
			entryPoint: "$(A)", args: []string{"'$(B)'", "'$$C'"}, command: []string{"$$(A)"}, list: []string{"$$(B)", "$$$$C"},
		},
		"blank arguments": {args: []string{"", ""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := step()
			s.Container.EntryPoint, s.Container.EntryPointArgs = test.entryPoint, test.args
			c := container(t, s)
			if diff := cmp.Diff(test.command, c.Command); diff != "" {
				t.Errorf("command differs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.list, c.Args); diff != "" {
				t.Errorf("args differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMounts(t *testing.T) {
	type mounts = []corev1.VolumeMount
	whole := corev1.VolumeMount{Name: "work", MountPath: "/__w"}
	tests := map[string]struct {
		source, target string
		want           mounts
		wantErr        string
	}{
		"a part":                {"/w/a/b", "/t", mounts{whole, {Name: "work", MountPath: "/t", SubPath: "a/b"}}, ""},
		"untidy":                {"/w/./a//b/../c/", "/t/.", mounts{whole, {Name: "work", MountPath: "/t", SubPath: "a/c"}}, ""},
		"dots in a name":        {"/w/..a", "/t", mounts{whole, {Name: "work", MountPath: "/t", SubPath: "..a"}}, ""},
		"the folder itself":     {"/w/", "/t", mounts{whole, {Name: "work", MountPath: "/t"}}, ""},
		"the folder at its own": {"/w", "/__w", mounts{whole}, ""},
		"Docker's socket":       {"/var/run/docker.sock", "/var/run/docker.sock", mounts{whole}, ""},
		"outside":               {"/etc", "/t", mounts{whole}, ""},
		"outside by dots":       {"/w/../etc", "/t", mounts{whole}, ""},
		"outside at our own":    {"/etc", "/__w", mounts{whole}, ""},
		"outside and relative":  {"/etc", "t", mounts{whole}, ""},
		"a sibling":             {"/w2/a", "/t", mounts{whole}, ""},
		"relative source":       {"a", "/t", mounts{whole}, ""},
		"no source":             {"", "/t", mounts{whole}, ""},
		"relative target":       {"/w/a", "t", nil, "not an absolute path"},
		"colon":                 {"/w/a", "/t:ro", nil, "not an absolute path"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := step()
			s.WorkMount = "/w/"
			s.Container.SystemMountVolumes = []hook.Mount{{SourceVolumePath: test.source, TargetVolumePath: test.target}}
			job, err := action.Job(s)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("error = %v, want one with %q", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, job.Spec.Template.Spec.Containers[0].VolumeMounts); diff != "" {
				t.Errorf("mounts differ (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("two at one place", func(t *testing.T) {
		s := step()
		s.Container.SystemMountVolumes = append(s.Container.SystemMountVolumes, hook.Mount{SourceVolumePath: s.WorkMount, TargetVolumePath: "/github/home/"})
		if _, err := action.Job(s); err == nil || !strings.Contains(err.Error(), "two mounts at /github/home") {
			t.Errorf("error = %v", err)
		}
	})
}

// TestNoValueInJob: the Job tells nothing of the environment but names.
func TestNoValueInJob(t *testing.T) {
	job, err := action.Job(step())
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("Mona")) || bytes.Contains(text, []byte(": secret\n")) {
		t.Errorf("the Job holds a value:\n%s", text)
	}
}

// TestObjectsAreIndependent: changing one object changes no other and no Step.
func TestObjectsAreIndependent(t *testing.T) {
	s := step()
	job, err := action.Job(s)
	if err != nil {
		t.Fatal(err)
	}
	spoil(job)
	if diff := cmp.Diff(step(), s); diff != "" {
		t.Errorf("the step changed (-want +got):\n%s", diff)
	}
}

func spoil(job *batchv1.Job) {
	job.Labels["x"] = "y"
	job.Spec.Template.Labels["z"] = "y"
	job.OwnerReferences[0].Name = "other"
	job.Spec.Template.Spec.Tolerations[0].Key = "other"
	job.Spec.Template.Spec.ImagePullSecrets[0].Name = "other"
}
