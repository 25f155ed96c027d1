package action_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/action"
	"kiln/internal/extension"
	"kiln/internal/failure"
)

func TestUser(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/sh\nshort\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nbroken:x:one:1::/:\n"
	const group = "root:x:0:\naudio:x:29:daemon\n"
	type numbers = action.Numbers
	for name, tt := range map[string]struct {
		user  string
		files []string
		want  *numbers
		says  string
	}{
		"none":                      {"", nil, nil, ""},
		"a name":                    {"daemon", nil, nil, ""},
		"a number":                  {"1001", nil, nil, ""},
		"a name and no group":       {"daemon:", nil, nil, ""},
		"numbers":                   {"1001:121", nil, &numbers{1001, 121}, ""},
		"root's":                    {"0:0", nil, &numbers{0, 0}, ""},
		"a group alone":             {":121", nil, &numbers{0, 121}, ""},
		"names":                     {"daemon:audio", []string{"etc/passwd", "etc/group"}, &numbers{1, 29}, ""},
		"a name and a number":       {"daemon:121", []string{"etc/passwd"}, &numbers{1, 121}, ""},
		"a number and a name":       {"1001:audio", []string{"etc/group"}, &numbers{1001, 29}, ""},
		"a named group alone":       {":audio", []string{"etc/group"}, &numbers{0, 29}, ""},
		"nobody":                    {"ghost:audio", []string{"etc/passwd", "etc/group"}, nil, "unable to find user ghost: no matching entries in passwd file"},
		"no such group":             {"daemon:ghosts", []string{"etc/passwd", "etc/group"}, nil, "unable to find group ghosts: no matching entries in group file"},
		"a user without a number":   {"broken:audio", []string{"etc/passwd", "etc/group"}, nil, "unable to find user broken"},
		"too large":                 {"2147483648", nil, nil, "must be in range"},
		"a group too large":         {"1:2147483648", nil, nil, "must be in range"},
		"below zero":                {"-1:1", nil, nil, "must be in range"},
		"a name of several lines":   {"a\n::error::b:c", []string{"etc/passwd", "etc/group"}, nil, `unable to find user "a\n"`},
		"a colon in a group's name": {"1:audio:x", []string{"etc/group"}, nil, "unable to find group audio:x"},
	} {
		t.Run(name, func(t *testing.T) {
			user := action.ParseUser(tt.user)
			if diff := cmp.Diff(tt.files, user.Files()); diff != "" {
				t.Errorf("files (-want +got): %s", diff)
			}
			got, err := user.Numbers(passwd, group)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("numbers (-want +got): %s", diff)
			}
			if (err != nil) != (tt.says != "") || err != nil && (!strings.Contains(err.Error(), tt.says) || failure.Of(err) != failure.ActionFailed) {
				t.Errorf("error = %q %v, want %q", failure.Of(err), err, tt.says)
			}
		})
	}
}

// TestNumbersApply: the action gets them, and no other container; what the
// operator chose stays.
func TestNumbersApply(t *testing.T) {
	own := &corev1.SecurityContext{RunAsUser: new(int64(1001)), RunAsGroup: new(int64(121))}
	for name, tt := range map[string]struct {
		template string
		want     *corev1.SecurityContext
	}{
		"no template":    {"", own},
		"another choice": {"spec: {containers: [{name: $job, securityContext: {privileged: false}}]}", &corev1.SecurityContext{Privileged: new(false), RunAsUser: own.RunAsUser, RunAsGroup: own.RunAsGroup}},
		"the pod's user": {"spec: {securityContext: {runAsUser: 7}}", nil},
		"its group":      {"spec: {containers: [{name: $job, securityContext: {runAsGroup: 7}}]}", &corev1.SecurityContext{RunAsGroup: new(int64(7))}},
		"a sidecar":      {"spec: {containers: [{name: side, image: x, securityContext: {runAsUser: 7}}]}", own},
	} {
		t.Run(name, func(t *testing.T) {
			job, err := action.Job(step())
			if err != nil {
				t.Fatal(err)
			}
			var template *extension.Template
			if tt.template != "" {
				if template, err = extension.Parse([]byte(tt.template)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := template.Apply(&job.Spec.Template.Spec); err != nil {
				t.Fatal(err)
			}
			(&action.Numbers{User: 1001, Group: 121}).Apply(job)
			if diff := cmp.Diff(tt.want, job.Spec.Template.Spec.Containers[0].SecurityContext); diff != "" {
				t.Errorf("security context (-want +got):\n%s", diff)
			}
		})
	}
}
