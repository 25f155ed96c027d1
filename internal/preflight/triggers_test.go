package preflight_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/preflight"
)

func TestTriggers(t *testing.T) {
	const hub = "index.docker.io"
	file, err := preflight.Parse("Dockerfile", []byte("FROM alpine AS Tools\nFROM acme/base\nCOPY --from=tools /t /t\n"))
	if err != nil {
		t.Fatal(err)
	}
	onbuild := []string{
		"COPY . /app",
		"copy --from=ghcr.io/acme/tool:1 /t /t",
		"RUN --mount=from=quay.io/acme/data,target=/d true",
		"COPY --from=TOOLS /a /a",
		"COPY --from=0 /b /b",
		"COPY --from=ghcr.io/acme/tool:1 /u /u",
		"RUN <<EOF\nFROM evil\nEOF",
	}
	want := []preflight.Image{
		{Reference: "ghcr.io/acme/tool:1", Registry: "ghcr.io"},
		{Reference: "quay.io/acme/data", Registry: "quay.io"},
	}
	got, err := file.Base("acme/base", preflight.Base{Triggers: onbuild})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	got, err = plainFile(t).Base("acme/base", preflight.Base{Triggers: []string{"COPY --from=tools /a /a"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]preflight.Image{{Reference: "tools", Registry: hub}}, got); diff != "" {
		t.Errorf("images without stages (-want +got):\n%s", diff)
	}
}

// A base image is as hostile as the Dockerfile.
func TestTriggersErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		onbuild []string
		want    string
	}{
		"unknown":        {[]string{"RUUN x"}, "acme/base: ONBUILD trigger: unknown instruction: RUUN"},
		"FROM":           {[]string{"FROM evil"}, "FROM"},
		"two":            {[]string{"RUN a\nRUN b"}, "2 instructions instead of one"},
		"empty":          {[]string{""}, "no instructions"},
		"bad reference":  {[]string{"COPY --from=al:pine:1 a b"}, "not an image reference"},
		"variable":       {[]string{"COPY --from=$X a b"}, "no variables"},
		"no such number": {[]string{"COPY --from=7 a b"}, "not an earlier stage"},
		"many":           {make([]string, 1001), "1001 ONBUILD triggers"},
		"large":          {[]string{"RUN " + strings.Repeat("x", 1<<20)}, "larger than"},
		"control":        {[]string{"X\x1b[31m\r::error::"}, "ONBUILD trigger"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := plainFile(t).Base("acme/base", preflight.Base{Triggers: tt.onbuild})
			bad, ok := errors.AsType[*preflight.Error](err)
			if !ok || !strings.Contains(bad.Error(), tt.want) || strings.ContainsAny(bad.Detail(), "\x1b\r") {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

// plainFile is a Dockerfile of one stage without a name.
func plainFile(t *testing.T) *preflight.File {
	t.Helper()
	file, err := preflight.Parse("Dockerfile", []byte("FROM busybox\n"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}
