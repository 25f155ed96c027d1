package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"kiln/internal/config"
)

// parse reads settings as the daemon does.
func parse(t *testing.T, args ...string) (*config.Settings, error) {
	t.Helper()
	var settings config.Settings
	parser, err := kong.New(&settings, kong.Vars{"kaniko_image": config.KanikoImage}, config.Decimal())
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return &settings, err
}

// sound are the flags of settings without a fault.
func sound(more ...string) []string {
	return append([]string{"--registry-host=ghcr.io/acme/kiln", "--pod-name=runner-1"}, more...)
}

// Base images are never read with the registry's Secret where another is named.
func TestPullCredentials(t *testing.T) {
	for name, tt := range map[string]struct {
		settings config.Settings
		want     string
	}{
		"one Secret":      {config.Settings{DockerConfig: "/own", RegistrySecret: "own"}, "/own"},
		"the same named":  {config.Settings{DockerConfig: "/own", RegistrySecret: "own", PullSecret: "own"}, "/own"},
		"another":         {config.Settings{DockerConfig: "/own", RegistrySecret: "own", PullSecret: "pull", PullDocker: "/pull"}, "/pull"},
		"another unknown": {config.Settings{DockerConfig: "/own", RegistrySecret: "own", PullSecret: "pull"}, ""},
	} {
		if got := tt.settings.PullCredentials(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestDefaultsAreValid(t *testing.T) {
	settings, err := parse(t, sound()...)
	if err != nil {
		t.Fatal(err)
	}
	if err := settings.Validate(); err != nil {
		t.Errorf("Validate: %v", err)
	}
	limits := settings.Limits()
	if limits.Bytes != 512<<20 || limits.Entries != 100_000 || settings.BuildTimeout != 30*time.Minute || settings.ReuseMaxAge != 7*24*time.Hour || settings.Tag != config.TagContent || settings.KanikoImage != config.KanikoImage {
		t.Errorf("settings = %+v", settings)
	}
}

func TestPushAndPullHosts(t *testing.T) {
	settings, err := parse(t, sound("--registry-host-pull=localhost:30500/kiln")...)
	if err != nil {
		t.Fatal(err)
	}
	names, err := settings.Names()
	if err != nil {
		t.Fatal(err)
	}
	push, pull := names.Image("/w/app", "t")
	if push != "ghcr.io/acme/kiln/app:t" || pull != "localhost:30500/kiln/app:t" {
		t.Errorf("push %s, pull %s", push, pull)
	}
}

func TestEnvironmentNames(t *testing.T) {
	t.Setenv("ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST", "ghcr.io/acme")
	t.Setenv("ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_SECRET_NAME", "push")
	t.Setenv("KILN_POD_NAME", "runner-1")
	t.Setenv("KILN_REGISTRY_MIRRORS", "docker.io=a.io,quay.io=b.io")
	settings, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	if settings.RegistryHost != "ghcr.io/acme" || settings.RegistrySecret != "push" || len(settings.Mirrors) != 2 {
		t.Errorf("settings = %+v", settings)
	}
}

func TestFaultsNameTheSetting(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no registry":      {[]string{"--pod-name=p"}, "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST is not set"},
		"registry scheme":  {[]string{"--pod-name=p", "--registry-host=https://ghcr.io/a"}, `write "ghcr.io/a"`},
		"no pod name":      {[]string{"--registry-host=ghcr.io/a"}, "KILN_POD_NAME is not set"},
		"mirror":           {sound("--registry-mirrors=docker.io"), "KILN_REGISTRY_MIRRORS"},
		"insecure":         {sound("--insecure-registries=http://a"), "KILN_INSECURE_REGISTRIES"},
		"pull allow":       {sound("--pull-allow=ghcr.io/**/x"), "KILN_PULL_ALLOW"},
		"placement":        {sound("--placement=moon"), `KILN_PLACEMENT is "moon": write same-node or anywhere`},
		"listen":           {sound("--listen=9464"), `KILN_LISTEN is "9464": write it as :9464`},
		"metrics":          {sound("--metrics-listen=9465"), `KILN_METRICS_LISTEN is "9465": write it as :9465`},
		"memory":           {sound("--build-memory=lots"), `KILN_BUILD_MEMORY is "lots"`},
		"timeout":          {sound("--build-timeout=0s"), "KILN_BUILD_TIMEOUT must be more than zero"},
		"kaniko unknown":   {sound("--kaniko-image=r.example.com/kaniko:v1"), "set KILN_KANIKO_FLAVOR to osscontainertools@<version>"},
		"kaniko flavor":    {sound("--kaniko-flavor=podman"), `KILN_KANIKO_FLAVOR: it is "podman": write chainguard@1.25.16`},
		"kaniko of Google": {sound("--kaniko-image=gcr.io/kaniko-project/executor:v1.24.0", "--kaniko-flavor=chainguard"), "KILN_KANIKO_IMAGE: the Kaniko of GoogleContainerTools is archived and has CVE-2026-28406"},
		"executor":         {sound("--kaniko-executor=executor"), `KILN_KANIKO_EXECUTOR is "executor": write an absolute path, as /kaniko/executor`},
		"rights":           {sound("--build-rights=root"), `KILN_BUILD_RIGHTS is "root": write docker or minimal`},
		"user namespaces":  {sound("--build-userns=yes"), `KILN_BUILD_USERNS is "yes": write auto, on or off`},
		"snapshot mode":    {sound("--snapshot-mode=fast"), `KILN_SNAPSHOT_MODE is "fast": write full, redo or time`},
		"entries":          {sound("--context-max-entries=0"), "KILN_CONTEXT_MAX_ENTRIES must be more than zero"},
		"identity":         {sound("--identity=aws", "--identity-aws-role-arn=x"), `KILN_IDENTITY is aws, and the registry is "ghcr.io"`},
		"identity's role":  {[]string{"--pod-name=p", "--registry-host=123456789012.dkr.ecr.eu-west-1.amazonaws.com/kiln", "--identity=aws"}, "KILN_IDENTITY_AWS_ROLE_ARN is"},
		"reuse":            {sound("--reuse-max-age=-1s"), "KILN_REUSE_MAX_AGE is -1s: write a duration"},
		"tag":              {sound("--tag=latest"), `KILN_TAG is "latest": write content or random`},
	} {
		t.Run(name, func(t *testing.T) {
			settings, err := parse(t, tc.args...)
			if err == nil {
				err = settings.Validate()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
		})
	}
}
