package preflight_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/preflight"
)

func TestParseListsImages(t *testing.T) {
	const hub = "index.docker.io"
	tests := []struct {
		name, dockerfile string
		want             []preflight.Image
	}{
		{
			name:       "one base",
			dockerfile: "FROM alpine:3.20\nRUN true\n",
			want:       []preflight.Image{{Reference: "alpine:3.20", Registry: hub, Line: 1}},
		},
		{
			name:       "registry with port, digest",
			dockerfile: "# comment\n\nFROM kiln-registry:5000/base@sha256:" + strings.Repeat("a", 64) + " AS x\n",
			want: []preflight.Image{{
				Reference: "kiln-registry:5000/base@sha256:" + strings.Repeat("a", 64), Registry: "kiln-registry:5000", Line: 3,
			}},
		},
		{
			name:       "scratch is no image",
			dockerfile: "FROM scratch\nCOPY . /\n",
		},
		{
			name: "stages by name and number",
			dockerfile: "FROM golang:1 AS Build\nFROM build AS test\nFROM alpine\n" +
				"COPY --from=BUILD /a /a\nCOPY --from=1 /b /b\nRUN --mount=type=bind,from=test,target=/m true\n",
			want: []preflight.Image{
				{Reference: "golang:1", Registry: hub, Line: 1},
				{Reference: "alpine", Registry: hub, Line: 3},
			},
		},
		{
			name: "images copied and mounted from",
			dockerfile: "FROM alpine\nCOPY --from=ghcr.io/acme/tool:1 /t /t\n" +
				"RUN --mount=from=quay.io/acme/data,target=/d true\nCOPY --from=ghcr.io/acme/tool:1 /u /u\n",
			want: []preflight.Image{
				{Reference: "alpine", Registry: hub, Line: 1},
				{Reference: "ghcr.io/acme/tool:1", Registry: "ghcr.io", Line: 2},
				{Reference: "quay.io/acme/data", Registry: "quay.io", Line: 3},
			},
		},
		{
			name: "ARGs with defaults",
			dockerfile: "ARG BASE=alpine VERSION=\"3.20\"\nARG IMAGE=${BASE}:${VERSION}\nARG UNSET\n" +
				"FROM ${IMAGE}${UNSET:-} AS a\nARG IMAGE=other\nFROM ${MISSING:-ghcr.io/acme/x}\nCOPY --from=a /a /a\n",
			want: []preflight.Image{
				{Reference: "alpine:3.20", Registry: hub, Line: 4},
				{Reference: "ghcr.io/acme/x", Registry: "ghcr.io", Line: 6},
			},
		},
		{
			name:       "platform ARGs",
			dockerfile: "ARG TARGETOS\nFROM --platform=$BUILDPLATFORM acme/$TARGETOS:$TARGETARCH$TARGETVARIANT\n",
			want: []preflight.Image{{
				Reference: "acme/" + runtime.GOOS + ":" + runtime.GOARCH, Registry: hub, Line: 2,
				Platform: runtime.GOOS + "/" + runtime.GOARCH,
			}},
		},
		{
			name:       "a stage of the same name that comes later",
			dockerfile: "FROM tool AS a\nFROM alpine AS tool\nCOPY --from=a /a /a\n",
			want: []preflight.Image{
				{Reference: "tool", Registry: hub, Line: 1},
				{Reference: "alpine", Registry: hub, Line: 2},
			},
		},
		{
			name: "what the last stage does not need is not pulled",
			dockerfile: "FROM golang:1 AS build\nFROM node:22 AS unused\nCOPY --from=ghcr.io/acme/tool:1 /t /t\n" +
				"FROM build AS test\nFROM alpine\nRUN --mount=from=test,target=/t true\n",
			want: []preflight.Image{
				{Reference: "golang:1", Registry: hub, Line: 1},
				{Reference: "alpine", Registry: hub, Line: 5},
			},
		},
		{
			name:       "escape directive and line ends of Windows",
			dockerfile: "# escape=`\r\nARG A=al`\r\npine\r\nFROM $A\r\n",
			want:       []preflight.Image{{Reference: "alpine", Registry: hub, Line: 4}},
		},
		{
			name:       "a heredoc holds no instructions",
			dockerfile: "FROM alpine\nRUN <<EOF\nFROM evil\nEOF\n",
			want:       []preflight.Image{{Reference: "alpine", Registry: hub, Line: 1}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := preflight.Parse("Dockerfile", []byte(tt.dockerfile))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Images); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseListsInstructions(t *testing.T) {
	got, err := preflight.Parse("Dockerfile", []byte("# c\nARG A\nFROM busybox\nRUN x\nFROM alpine\n\nRUN one && \\\n  two\nCOPY . /\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []preflight.Instruction{
		{Text: "ARG A", Sent: "ARG A", Line: 2},
		{Text: "FROM busybox", Sent: "FROM busybox", Line: 3, Unused: true, Layer: true},
		{Text: "RUN x", Sent: "RUN x", Line: 4, Unused: true, Layer: true},
		{Text: "FROM alpine", Sent: "FROM alpine", Line: 5, Layer: true},
		{Text: "RUN one &&   two", Sent: "RUN one &&   two", Line: 7, Layer: true},
		{Text: "COPY . /", Sent: "COPY . /", Line: 9, Layer: true},
	}
	if diff := cmp.Diff(want, got.Instructions); diff != "" {
		t.Errorf("instructions (-want +got):\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		name, dockerfile string
		line             int
		text, reason     string
	}{
		{"unknown instruction", "FROM alpine\nRUUN true\n", 2, "RUUN true", "unknown instruction: RUUN (did you mean RUN?)"},
		{"no argument", "FROM alpine\n\nCOPY x\n", 3, "COPY x", "COPY requires at least two arguments"},
		{"unknown flag", "FROM alpine\nCOPY --form=x a b\n", 2, "COPY --form=x a b", "unknown flag: --form"},
		{"instruction before FROM", "RUN true\nFROM alpine\n", 1, "RUN true", "no build stage"},
		{"empty", "", 0, "", "no instructions"},
		{"only comments", "# a\n# b\n", 2, "# b", "no instructions"},
		{"no FROM", "ARG A=1\n", 0, "", "no FROM"},
		{"unset ARG", "ARG BASE\nFROM $BASE\n", 2, "FROM $BASE", "ARG BASE has no default value before the first FROM, and the runner passes no build arguments, so docker build would fail too"},
		{"unset tag", "ARG TAG\nFROM acme/x:$TAG\n", 2, "FROM acme/x:$TAG", "docker build would fail too"},
		{"other platform", "FROM --platform=linux/s390x alpine\n", 1, "FROM --platform=linux/s390x alpine", "builds for " + runtime.GOOS + "/" + runtime.GOARCH + " alone"},
		{"no platform", "FROM --platform=a/b/c/d/e alpine\n", 1, "FROM --platform=a/b/c/d/e alpine", "failed to parse platform a/b/c/d/e"},
		{"bad reference", "FROM al:pine:1\n", 1, "FROM al:pine:1", "not an image reference"},
		{"variable in COPY --from", "ARG A=x\nFROM alpine\nCOPY --from=$A a b\n", 3, "COPY --from=$A a b", "no variables"},
		{"later stage", "FROM alpine\nCOPY --from=b a b\nFROM alpine AS b\n", 2, "COPY --from=b a b", "not an earlier stage"},
		{"own number", "FROM alpine\nCOPY --from=0 a b\n", 2, "COPY --from=0 a b", "not an earlier stage"},
		{"unterminated heredoc", "FROM alpine\nRUN <<EOF\nx\n", 2, "RUN <<EOF", "unterminated heredoc"},
		{"bad substitution", "FROM ${A\n", 1, "FROM ${A", "unsupported modifier"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parseError(t, tt.dockerfile)
			if got.File != "Dockerfile" || got.Line != tt.line || got.Text != tt.text || !strings.Contains(got.Reason, tt.reason) {
				t.Errorf("got %+v, want line %d, text %q, reason with %q", got, tt.line, tt.text, tt.reason)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	got := parseError(t, "FROM alpine\nRUUN true\n").Error()
	const want = "Dockerfile:2: unknown instruction: RUUN (did you mean RUN?): RUUN true"
	if got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestErrorDetail(t *testing.T) {
	for name, tt := range map[string]struct{ dockerfile, want string }{
		"unknown instruction": {
			"FROM alpine\n\n  RUUN true\n",
			"Dockerfile:3: unknown instruction: RUUN (did you mean RUN?)\n  3 | RUUN true\n    | ^^^^",
		},
		"unknown flag": {
			"FROM alpine\nCOPY --chown=a --form=x a b\n",
			"Dockerfile:2: unknown flag: --form (did you mean from?)\n  2 | COPY --chown=a --form=x a b\n    |                ^^^^^^^^",
		},
		"no line": {"", "Dockerfile: file with no instructions"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parseError(t, tt.dockerfile).Detail(); got != tt.want {
				t.Errorf("Detail() =\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// A Dockerfile must not reach the terminal or the runner's command parser
// through an error message.
func TestErrorsArePrintable(t *testing.T) {
	got := parseError(t, "FROM alpine\nX\x1b[31m\r::error::\u202e"+strings.Repeat("y", 5000)+"\n")
	for _, text := range []string{got.Text, got.Reason, got.Error()} {
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || len(text) > 1000 {
			t.Errorf("%d bytes: %q", len(text), text)
		}
	}
}

func parseError(t *testing.T, dockerfile string) *preflight.Error {
	t.Helper()
	_, err := preflight.Parse("Dockerfile", []byte(dockerfile))
	got, ok := errors.AsType[*preflight.Error](err)
	if !ok {
		t.Fatalf("Parse error = %v, want a *preflight.Error", err)
	}
	return got
}

// checked reports for every flavor and looks at what is said.
func checked(t *testing.T, file *preflight.File, context *preflight.Context) {
	t.Helper()
	for _, flavor := range []string{preflight.Chainguard, preflight.Osscontainertools, ""} {
		report, err := file.Report(flavor, context)
		if err != nil {
			if bad, ok := errors.AsType[*preflight.Error](err); !ok || bad.Detail() == "" || bad.Reason == "" || bad.Line < 1 && bad.Kind == preflight.Missing {
				t.Fatalf("error %#v", err)
			}
			continue
		}
		for _, w := range report.Warnings {
			if w.Line < 1 || w.Message == "" || w.Detail("Dockerfile") == "" {
				t.Fatalf("warning %+v", w)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"FROM alpine\nRUN true\n",
		"ARG A=b\nFROM ${A//b/c}:${X:-1} AS s\nCOPY --from=s --chown=1 a b\n",
		"# escape=`\nFROM a`\nb\nRUN <<A <<-B cat\nx\nA\ny\nB\n",
		"FROM scratch\nONBUILD RUN --mount=type=cache,from=x,target=/y true\nHEALTHCHECK NONE\n",
		"FROM a\nENV a=b c='d' \\\n\n# x\n e=\"f\"\nSHELL [\"a\"]\n",
	} {
		f.Add([]byte(seed))
	}
	for _, row := range preflight.Table() {
		f.Add([]byte(row.Example))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dockerfile, err := preflight.Parse("Dockerfile", data)
		if err != nil {
			problem, ok := errors.AsType[*preflight.Error](err)
			if !ok || problem.Reason == "" || strings.Contains(problem.Reason, "cannot be parsed") {
				t.Fatalf("error %#v", err)
			}
			return
		}
		checked(t, dockerfile, nil)
		checked(t, dockerfile, preflight.Listed(contextOf(t, []string{"a", "b/ 700", "b/a", "l -> b", "b/l -> ../../l", "x -> /x", "y -> /b/../a"})))
		if _, err := dockerfile.Base("base", preflight.Base{Triggers: []string{string(data)}}); err != nil {
			if _, ok := errors.AsType[*preflight.Error](err); !ok {
				t.Fatalf("error %#v", err)
			}
		}
		for _, image := range dockerfile.Images {
			if image.Registry == "" || image.Line < 1 || image.Reference == "scratch" {
				t.Fatalf("image %+v", image)
			}
		}
	})
}
