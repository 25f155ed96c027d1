package workpod_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/workpod"
)

// TestEnvironment: what the references of a container find in the Secret is its
// environment, and two environments share one Secret.
func TestEnvironment(t *testing.T) {
	one := workpod.NewEnvironment(map[string]string{"B": "$(A)", "A": "", "Ä": "x", "N": "a\x00"}, "")
	two := workpod.NewEnvironment(map[string]string{"B": "other"}, "S00")
	data, err := one.Data()
	if err != nil {
		t.Fatal(err)
	}
	more, err := two.Data()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"N", "Ä"}, one.Skipped()); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	got := map[string]string{}
	for _, variable := range append(one.Variables("secret"), two.Variables("secret")...) {
		ref := variable.ValueFrom.SecretKeyRef
		value, found := data[ref.Key]
		if !found {
			value = more[ref.Key]
		}
		got[variable.Name+" "+ref.Name+" "+ref.Key] = string(value)
	}
	want := map[string]string{"A secret E0000": "", "B secret E0001": "$(A)", "B secret S00E0000": "other"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

// TestEnvironmentLimits: what no program and no Secret can hold is refused, and named.
func TestEnvironmentLimits(t *testing.T) {
	large := strings.Repeat("x", workpod.MaxString)
	_, err := workpod.NewEnvironment(map[string]string{"A B": large}, "").Data()
	if failure.Of(err) != failure.BadRequest || !strings.Contains(err.Error(), "the environment variable A B has 131075 bytes") {
		t.Errorf("error = %v", err)
	}
	_, err = workpod.NewEnvironment(map[string]string{"A\t": large, "A`": large}, "").Data()
	if err == nil || !strings.Contains(err.Error(), "A` has") {
		t.Errorf("error = %v", err)
	}
	data := map[string][]byte{"a": make([]byte, corev1.MaxSecretSize), "b": {1}}
	if err := workpod.CheckSecret(data, "job container"); failure.Of(err) != failure.BadRequest || !strings.Contains(err.Error(), "the job container's environment has 1048577 bytes") {
		t.Errorf("error = %v", err)
	}
	delete(data, "b")
	if err := workpod.CheckSecret(data, "job container"); err != nil {
		t.Error(err)
	}
}

func TestPlacement(t *testing.T) {
	if workpod.NodeSelector("") != nil || workpod.SameNode("") != nil {
		t.Error("nothing is asked for, and something is required")
	}
	if diff := cmp.Diff(map[string]string{corev1.LabelArchStable: "arm64"}, workpod.NodeSelector("arm64")); diff != "" {
		t.Error(diff)
	}
	terms := workpod.SameNode("node-1").NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	if len(terms) != 1 || terms[0].MatchFields[0].Values[0] != "node-1" {
		t.Errorf("terms = %v", terms)
	}
	if got := workpod.Literal("$(A) $"); got != "$$(A) $$" {
		t.Errorf("literal %q", got)
	}
	if claim := workpod.WorkVolume("c").PersistentVolumeClaim.ClaimName; claim != "c" {
		t.Errorf("claim %q", claim)
	}
}

func TestMounts(t *testing.T) {
	whole := corev1.VolumeMount{Name: "work", MountPath: "/__w"}
	for name, tt := range map[string]struct {
		asked []hook.Mount
		want  []corev1.VolumeMount
		says  string
	}{
		"none":    {nil, []corev1.VolumeMount{whole}, ""},
		"a part":  {[]hook.Mount{{SourceVolumePath: "/w/a", TargetVolumePath: "/a/", ReadOnly: true}}, []corev1.VolumeMount{whole, {Name: "work", MountPath: "/a", SubPath: "a", ReadOnly: true}}, ""},
		"others":  {[]hook.Mount{{SourceVolumePath: "/var/run//docker.sock", TargetVolumePath: "/s"}, {SourceVolumePath: "/etc", TargetVolumePath: "/e"}}, []corev1.VolumeMount{whole}, ""},
		"its own": {[]hook.Mount{{SourceVolumePath: "/w", TargetVolumePath: "/__w"}}, []corev1.VolumeMount{whole}, ""},
		"twice":   {[]hook.Mount{{SourceVolumePath: "/w/a", TargetVolumePath: "/a"}, {SourceVolumePath: "/w/b", TargetVolumePath: "/a/."}}, nil, "two mounts at /a"},
		"a colon": {[]hook.Mount{{SourceVolumePath: "/w/a", TargetVolumePath: "/a:b"}}, nil, "not an absolute path"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := workpod.Mounts(tt.asked, "/w")
			if tt.says != "" {
				if failure.Of(err) != failure.BadRequest || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error = %v, want %q", err, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("mounts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestShared(t *testing.T) {
	asked := []hook.Mount{{SourceVolumePath: "/w/a"}, {SourceVolumePath: "/etc"}, {SourceVolumePath: "/var/run/docker.sock"}}
	shared, other := workpod.Shared(asked, "/w")
	if diff := cmp.Diff(asked[:1], shared) + cmp.Diff(asked[1:2], other); diff != "" {
		t.Error(diff)
	}
}
