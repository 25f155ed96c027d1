package registry_test

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"pgregory.net/rapid"

	"kiln/internal/registry"
)

func TestNamesImage(t *testing.T) {
	tests := []struct {
		name, push, pull, image, workspace string
		wantPush, wantPull                 string
	}{
		{
			name: "one host", push: "ghcr.io/acme/kiln", workspace: "/home/runner/_work/app/app",
			wantPush: "ghcr.io/acme/kiln/app:k1-0", wantPull: "ghcr.io/acme/kiln/app:k1-0",
		},
		{
			name: "push and pull differ", push: "kiln-registry:5000/ci", pull: "localhost:30500/ci", workspace: "/w/My-App",
			wantPush: "kiln-registry:5000/ci/my-app:k1-0", wantPull: "localhost:30500/ci/my-app:k1-0",
		},
		{
			name: "host without path", push: "kiln-registry:5000/", workspace: "/w/app/",
			wantPush: "kiln-registry:5000/app:k1-0", wantPull: "kiln-registry:5000/app:k1-0",
		},
		{
			name: "Docker Hub", push: "docker.io/acme", workspace: "/w/app",
			wantPush: "index.docker.io/acme/app:k1-0", wantPull: "index.docker.io/acme/app:k1-0",
		},
		{
			name: "one repository for all", push: "ghcr.io/acme", image: "actions/built", workspace: "/w/app",
			wantPush: "ghcr.io/acme/actions/built:k1-0", wantPull: "ghcr.io/acme/actions/built:k1-0",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			names, err := registry.NewNames(tt.push, tt.pull, tt.image)
			if err != nil {
				t.Fatal(err)
			}
			push, pull := names.Image(tt.workspace, "k1-0")
			if push != tt.wantPush || pull != tt.wantPull {
				t.Errorf("Image = %q, %q, want %q, %q", push, pull, tt.wantPush, tt.wantPull)
			}
		})
	}
}

func TestNamesImageReducesWorkspace(t *testing.T) {
	tests := map[string]string{
		"/w/app":                     "app",
		"":                           "kiln",
		"/":                          "kiln",
		"/w/..":                      "kiln",
		"/w/.github":                 "github",
		"/w/a..b":                    "a.b",
		"/w/a._-b":                   "a.b",
		"/w/a__b--c":                 "a__b--c",
		"/w/a___b":                   "a_b",
		"/w/-_.":                     "kiln",
		"/w/Ünïcode Repo":            "ncoderepo",
		"/w/a:b@sha256/../evil":      "evil",
		"/w/x/latest:tag":            "latesttag",
		"/w/" + longName + "-" + "z": longName[:64],
	}
	names, err := registry.NewNames("ghcr.io/acme", "", "")
	if err != nil {
		t.Fatal(err)
	}
	for workspace, want := range tests {
		push, _ := names.Image(workspace, "t")
		if got := strings.TrimSuffix(strings.TrimPrefix(push, "ghcr.io/acme/"), ":t"); got != want {
			t.Errorf("Image(%q) is named %q, want %q", workspace, got, want)
		}
	}
}

const longName = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"

// Whatever a workflow calls its workspace, the reference stays below the
// operator's prefix and is one that registries accept.
func TestNamesImageIsAlwaysBelowPrefix(t *testing.T) {
	names, err := registry.NewNames("ghcr.io/acme/kiln", "", "")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		workspace := rapid.String().Draw(t, "workspace")
		push, _ := names.Image(workspace, "k1-0")
		ref, err := name.NewTag(push, name.StrictValidation)
		if err != nil {
			t.Fatalf("Image(%q) = %q: %v", workspace, push, err)
		}
		rest, below := strings.CutPrefix(ref.Context().RepositoryStr(), "acme/kiln/")
		if !below || strings.Contains(rest, "/") || len(rest) > 64 || ref.TagStr() != "k1-0" {
			t.Fatalf("Image(%q) = %q", workspace, push)
		}
	})
}

func TestNewNamesErrors(t *testing.T) {
	const host = "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST"
	tests := []struct {
		name, push, pull, image string
		want                    []string
	}{
		{name: "unset", want: []string{host, "such as ghcr.io/acme/kiln"}},
		{name: "scheme", push: "https://ghcr.io/acme", want: []string{host + "_PUSH", `write "ghcr.io/acme"`}},
		{name: "no host", push: "acme/kiln", want: []string{host + "_PUSH", "docker.io/acme/kiln"}},
		{name: "capital in path", push: "ghcr.io/Acme", want: []string{host + "_PUSH", "small letters"}},
		{name: "double slash", push: "ghcr.io//acme", want: []string{host + "_PUSH", "small letters"}},
		{name: "tag", push: "ghcr.io/acme:latest", want: []string{host + "_PUSH", "small letters"}},
		{name: "pull", push: "ghcr.io/acme", pull: "bad host", want: []string{host + "_PULL"}},
		{name: "image name", push: "ghcr.io/acme", image: "Built", want: []string{"KILN_IMAGE_NAME", "actions/built"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := registry.NewNames(tt.push, tt.pull, tt.image)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}

func TestRandomTag(t *testing.T) {
	first, second := registry.RandomTag(), registry.RandomTag()
	if first == second {
		t.Errorf("two tags are both %q", first)
	}
	if _, err := name.NewTag("ghcr.io/acme/app:"+first, name.StrictValidation); err != nil || len(first) != 28 {
		t.Errorf("RandomTag() = %q, %v", first, err)
	}
}
