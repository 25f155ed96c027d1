package jobrun_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/extension"
	"kiln/internal/hook"
	"kiln/internal/registry"
)

// image is one whose configuration a test plays.
type image struct {
	user         string
	fails, files error
	private      string        // the user of the login that it wants
	slow         time.Duration // until its files are read
}

// may is the error for whoever may not read the image.
func (i image) may(login *authn.AuthConfig) error {
	if i.private != "" && (login == nil || login.Username != i.private || login.Password != "sesame") {
		return errors.New("denied")
	}
	return nil
}

// StartWith implements [jobrun.Images].
func (i image) StartWith(_ context.Context, _, _ string, login *authn.AuthConfig) (registry.Start, error) {
	return registry.Start{User: i.user}, errors.Join(i.fails, i.may(login))
}

// FilesWith implements [jobrun.Images].
func (i image) FilesWith(ctx context.Context, _, _ string, login *authn.AuthConfig, _ ...string) (map[string]string, error) {
	select {
	case <-time.After(i.slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return map[string]string{"etc/passwd": "app:x:7:8::/:", "etc/group": "audio:x:29:"}, errors.Join(i.files, i.may(login))
}

// TestUser: the job container has the group of its image's USER, unless author or
// operator chose a user.
func TestUser(t *testing.T) {
	own := &corev1.SecurityContext{RunAsUser: new(int64(7)), RunAsGroup: new(int64(29))}
	for name, tt := range map[string]struct {
		image             image
		options, template string
		want              *corev1.SecurityContext
		says              string
	}{
		"none":                    {image{}, "", "", nil, ""},
		"a user alone":            {image{user: "app"}, "", "", nil, ""},
		"numbers":                 {image{user: "7:29"}, "", "", own, ""},
		"names":                   {image{user: "app:audio"}, "", "", own, ""},
		"beside other settings":   {image{user: "7:29"}, "--read-only", "", &corev1.SecurityContext{RunAsUser: own.RunAsUser, RunAsGroup: own.RunAsGroup, ReadOnlyRootFilesystem: new(true)}, ""},
		"the author's":            {image{user: "7:29"}, "--user 3", "", &corev1.SecurityContext{RunAsUser: new(int64(3))}, ""},
		"the author's, a name":    {image{}, "--user app", "", &corev1.SecurityContext{RunAsUser: own.RunAsUser}, ""},
		"with a group":            {image{}, "--user app:audio", "", own, ""},
		"of a private image":      {image{user: "app:audio", private: "robot"}, "", "", own, ""},
		"a name, private":         {image{private: "robot"}, "--user app:audio", "", own, ""},
		"an unknown name":         {image{}, "--user video", "", nil, "options: --user video: unable to find user video"},
		"a name nobody reads":     {image{files: errors.New("zstd")}, "--user app", "", nil, "options: --user app: the image's names of users cannot be read; give the number: zstd"},
		"the operator's":          {image{user: "7:29"}, "", "spec: {securityContext: {runAsUser: 5}}", nil, ""},
		"not known":               {image{user: "7:29", fails: errors.New("no route to host")}, "", "", nil, ""},
		"names that take a while": {image{user: "app:audio", slow: 10 * time.Second}, "", "", own, ""},
		"a name that is not":      {image{user: "app:video"}, "", "", nil, "unable to find group video"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, runs, nil)
				s.options.Images = tt.image
				if tt.template != "" {
					var err error
					if s.options.Template, err = extension.Parse([]byte(tt.template)); err != nil {
						t.Fatal(err)
					}
				}
				s.again()
				asked := debian()
				asked.Container.Container.CreateOptions = tt.options
				asked.Container.Registry = &hook.Registry{Username: "robot", Password: "sesame"}
				_, err := s.prepare(t.Context(), asked)
				if tt.says != "" {
					if err == nil || !strings.Contains(err.Error(), tt.says) || s.left() != "" {
						t.Errorf("error = %v, left %q", err, s.left())
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, s.cluster.Pods()[0].Spec.Containers[0].SecurityContext); diff != "" {
					t.Errorf("security context (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestUserUnread: a job whose image's names nobody reads begins, as on a hosted
// runner, with a warning of what it may lack.
func TestUserUnread(t *testing.T) {
	for name, image := range map[string]image{
		"unfit":    {user: "app:audio", files: errors.New("zstd")},
		"too slow": {user: "app:audio", slow: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, runs, nil)
				s.options.Images = image
				s.again()
				if _, err := s.prepare(t.Context(), debian()); err != nil {
					t.Fatal(err)
				}
				if got := s.cluster.Pods()[0].Spec.Containers[0].SecurityContext; got != nil {
					t.Errorf("security context = %+v", got)
				}
				const want = "::warning::kiln: the image of the job container has the USER app:audio: the kubelet drops its group, and kiln does not find out the numbers in /etc/passwd and /etc/group: "
				if log := s.log.String(); strings.Count(log, "::warning::") != 1 || !strings.Contains(log, want) {
					t.Errorf("the log lacks %q:\n%s", want, log)
				}
			})
		})
	}
}
