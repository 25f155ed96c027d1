package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"kiln/internal/config"
)

func TestParse(t *testing.T) {
	t.Setenv("KILN_TAG", "of this process")
	settings, errs := config.Parse(map[string]string{
		"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST": "ghcr.io/acme",
		"KILN_POD_NAME":            "runner-1",
		"KILN_REGISTRY_MIRRORS":    "docker.io=a.io,quay.io=b.io",
		"KILN_CA_FILE":             "",
		"KILN_BUILD_TIMEOUT":       "soon",
		"KILN_CONTEXT_MAX_ENTRIES": "many",
		"HOME":                     "/",
	}, []string{"--log-level=debug", "--max-in-flight=3"})
	if settings.RegistryHost != "ghcr.io/acme" || len(settings.Mirrors) != 2 || settings.Tag != config.TagContent || settings.MaxInFlight != 3 || settings.BuildTimeout != 30*time.Minute {
		t.Errorf("settings = %+v", settings)
	}
	if err := settings.Validate(); err != nil {
		t.Errorf("Validate: %v", err)
	}
	wantErrors(t, errs,
		`KILN_BUILD_TIMEOUT is "soon", which cannot be read as a time.Duration: write it as 30m`,
		`KILN_CONTEXT_MAX_ENTRIES is "many", which cannot be read as a int: write it as 100000`)
}

func TestParseArguments(t *testing.T) {
	settings, errs := config.Parse(map[string]string{"KILN_TAG": "random"}, []string{"--frobnicate"})
	if settings.Tag != config.TagRandom {
		t.Errorf("settings = %+v", settings)
	}
	wantErrors(t, errs, "the arguments of the kiln container cannot be read: unknown flag --frobnicate: `kilnd run --help` lists them")
}

func TestUnknown(t *testing.T) {
	wantErrors(t, config.Unknown(map[string]string{
		"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOSTS": "x",
		"ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE":            "x",
		"KILN_DELEGATE":                                     "x",
		"KILN_KANIKO_FLAVOUR":                               "x",
		"KILN_IMAGE":                                        "x",
		"KILN_LOG_LEVEL":                                    "debug",
		"KILN_TAG":                                          "content",
		"KILN_METRICS_SERVICE_HOST":                         "10.0.0.1",
		"KILN_METRICS_SERVICE_PORT":                         "1",
		"KILN_METRICS_PORT":                                 "1",
		"KILN_METRICS_PORT_1_TCP":                           "1",
		"OTHER":                                             "x",
	}),
		"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOSTS is no setting of kiln: write ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST",
		"KILN_DELEGATE is set on the kiln container, where it has no effect: set it on the runner container",
		"KILN_KANIKO_FLAVOUR is no setting of kiln: write KILN_KANIKO_FLAVOR",
	)
}

// wantErrors compares the texts of errors.
func wantErrors(t *testing.T, errs []error, want ...string) {
	t.Helper()
	got := errors.Join(errs...)
	if got == nil || got.Error() != strings.Join(want, "\n") {
		t.Errorf("errors:\n%v\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func TestNumbersAreDecimal(t *testing.T) {
	settings, errs := config.Parse(map[string]string{"KILN_CONTEXT_MAX_ENTRIES": "010", "KILN_CONTEXT_MAX_BYTES": "0100", "KILN_MAX_IN_FLIGHT": "+5"}, nil)
	if settings.ContextMaxEntries != 10 || settings.ContextMaxBytes != 100 || settings.MaxInFlight != 5 || len(errs) != 0 {
		t.Errorf("settings = %+v, errors = %v", settings, errs)
	}
	for _, value := range []string{"0x10", "0b1", "0o7", "1_000", "1e3", "10.0", " 10", "１"} {
		_, errs := config.Parse(map[string]string{"KILN_CONTEXT_MAX_ENTRIES": value}, nil)
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), "KILN_CONTEXT_MAX_ENTRIES is ") {
			t.Errorf("%q: errors = %v", value, errs)
		}
	}
}

func TestDecimalFlags(t *testing.T) {
	settings, err := parse(t, sound("--max-in-flight=012", "--log-backlog-bytes=0010")...)
	if err != nil || settings.MaxInFlight != 12 || settings.LogBacklogBytes != 10 {
		t.Errorf("settings = %+v, error = %v", settings, err)
	}
}
