package executor_test

import (
	"strings"
	"testing"

	"kiln/internal/executor"
)

func TestChooseFlavor(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	chainguard, oss := executor.Chainguard, executor.Osscontainertools
	for _, tt := range []struct {
		image, setting string
		want           executor.Flavor
	}{
		{"ghcr.io/osscontainertools/kaniko:v1.28.3-slim", "", executor.Flavor{Name: oss, Version: "1.28.3"}},
		{"ghcr.io/osscontainertools/kaniko:v1.28.3-slim" + digest, "", executor.Flavor{Name: oss, Version: "1.28.3"}},
		{"ghcr.io/osscontainertools/kaniko" + digest, "", executor.Flavor{Name: oss}},
		{"ghcr.io/osscontainertools/kaniko-dev:0123456789abcdef", "", executor.Flavor{Name: oss}},
		{"martizih/kaniko:latest", "", executor.Flavor{Name: oss}},
		{"docker.io/martizih/kaniko:v1.29.0", "", executor.Flavor{Name: oss, Version: "1.29.0"}},
		{"mirror.example.com:5000/ghcr.io/osscontainertools/kaniko:v1.28", "", executor.Flavor{Name: oss, Version: "1.28"}},
		{"cgr.dev/acme/kaniko:1.25.16", "", executor.Flavor{Name: chainguard, Version: "1.25.16"}},
		{"r.example.com/chainguard-dev/kaniko:v1.25.16", "", executor.Flavor{Name: chainguard, Version: "1.25.16"}},
		{"kiln-registry:5000/kaniko/executor:v1.25.16", "chainguard@1.25.16", executor.Flavor{Name: chainguard, Version: "1.25.16"}},
		{"r.example.com/kaniko", "osscontainertools@v1.28", executor.Flavor{Name: oss, Version: "1.28"}},
		{"r.example.com/kaniko", "chainguard", executor.Flavor{Name: chainguard}},
		{"cgr.dev/acme/kaniko:1.25.16", "osscontainertools@1.28.3", executor.Flavor{Name: oss, Version: "1.28.3"}},
	} {
		got, err := executor.ChooseFlavor(tt.image, tt.setting)
		if err != nil || got != tt.want {
			t.Errorf("ChooseFlavor(%q, %q) = %v, %v, want %v", tt.image, tt.setting, got, err, tt.want)
		}
	}
}

func TestChooseFlavorErrors(t *testing.T) {
	for _, tt := range []struct{ image, setting, want string }{
		{"kiln-registry:5000/kaniko/executor:v1.25.16", "", "KILN_KANIKO_IMAGE: \"kiln-registry:5000/kaniko/executor:v1.25.16\" does not tell which Kaniko it holds: set KILN_KANIKO_FLAVOR"},
		{"gcr.io/kaniko-project/executor:v1.24.0", "", "KILN_KANIKO_IMAGE: the Kaniko of GoogleContainerTools is archived and has CVE-2026-28406"},
		{"mirror.example.com/kaniko-project/executor:debug", "chainguard", "KILN_KANIKO_IMAGE: the Kaniko of GoogleContainerTools"},
		{"r.example.com/kaniko", "google@1.24.0", "KILN_KANIKO_FLAVOR: the Kaniko of GoogleContainerTools"},
		{"ghcr.io/osscontainertools/kaniko:v1.27.6", "", "osscontainertools@1.27.6 has CVE-2026-28406"},
		{"cgr.dev/acme/kaniko:1.25.9", "", "chainguard@1.25.9 has CVE-2026-28406"},
		{"r.example.com/kaniko", "chainguard@1.25.4", "use 1.25.10 or newer"},
		{"r.example.com/kaniko", "chainguard@new", `"new" is not a version`},
		{"r.example.com/kaniko", "buildah", `KILN_KANIKO_FLAVOR: it is "buildah": write chainguard@1.25.16 or osscontainertools@1.28`},
		{"", "", `"" is not an image reference`},
	} {
		if _, err := executor.ChooseFlavor(tt.image, tt.setting); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ChooseFlavor(%q, %q) error = %v, want %q", tt.image, tt.setting, err, tt.want)
		}
	}
}

func TestFlavorText(t *testing.T) {
	for text, flavor := range map[string]executor.Flavor{
		"chainguard":             {Name: executor.Chainguard},
		"osscontainertools@1.28": {Name: executor.Osscontainertools, Version: "1.28"},
	} {
		if got := flavor.String(); got != text {
			t.Errorf("String = %q, want %q", got, text)
		}
	}
}

// Only a release that is known to be newer than the table is warned of.
func TestNewer(t *testing.T) {
	for text, want := range map[string]bool{
		"chainguard":               false,
		"chainguard@1.25.16":       false,
		"chainguard@1.25.17":       true,
		"chainguard@1.26":          true,
		"osscontainertools@1.28":   false,
		"osscontainertools@1.28.3": false,
		"osscontainertools@1.29.0": true,
		"osscontainertools@2.0":    true,
	} {
		flavor, err := executor.ParseFlavor(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := flavor.Newer(); (got != "") != want || want && !strings.HasPrefix(got, text+" is newer than ") {
			t.Errorf("%s: Newer = %q", text, got)
		}
	}
}
