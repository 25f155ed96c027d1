package buildcontext_test

import (
	"bytes"
	"strings"
	"testing"

	"kiln/internal/buildcontext"
)

func TestReadFile(t *testing.T) {
	packed, _ := canonical(t, pack(t,
		link("Dockerfile", "./x/one"), link("absolute", "/etc/passwd"), link("circle", "circle"), link("dangling", "nowhere"), link("outside", "../y"),
		file("plain.Dockerfile", "FROM plain"), link("through", "y/deep"), dir("x", 0o755), link("x/one", "../y/two"), dir("y", 0o755), file("y/two", "FROM two"),
	))
	for _, tc := range []struct{ name, want, path, reason string }{
		{name: "plain.Dockerfile", want: "FROM plain"},
		{name: "Dockerfile", want: "FROM two"},
		{name: "y/two", want: "FROM two"},
		{name: "missing", path: "missing", reason: "no such file in the build context"},
		{name: "dangling", path: "nowhere", reason: "no such file in the build context"},
		{name: "absolute", path: "absolute", reason: "absolute path"},
		{name: "outside", path: "outside", reason: "outside of the build context"},
		{name: "circle", path: "circle", reason: "more than 8 symbolic links"},
		{name: "y", path: "y", reason: "must be a regular file"},
		{name: "through", path: "y/deep", reason: "no such file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := buildcontext.ReadFile(bytes.NewReader(packed), tc.name, 10)
			if tc.reason != "" {
				wantInputError(t, err, tc.path, tc.reason)
			} else if string(got) != tc.want || err != nil {
				t.Errorf("ReadFile = %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestReadFileErrors(t *testing.T) {
	packed, _ := canonical(t, pack(t, file("a", strings.Repeat("x", 11)), file("b", "")))
	_, err := buildcontext.ReadFile(bytes.NewReader(packed), "a", 10)
	wantInputError(t, err, "a", "the file is larger than 10 bytes")
	for name, data := range map[string][]byte{"not gzip": []byte("FROM scratch"), "cut off": packed[:len(packed)/2]} {
		if _, err := buildcontext.ReadFile(bytes.NewReader(data), "b", 10); err == nil || isInputError(err) {
			t.Errorf("%s: got error %v, want one of reading", name, err)
		}
	}
}

func TestReadIgnore(t *testing.T) {
	both := []member{file(".dockerignore", "a"), file("Dockerfile", ""), file("Dockerfile.dockerignore", "b"), link("z.dockerignore", "Dockerfile.dockerignore")}
	for _, tc := range []struct {
		name, want string
		members    []member
	}{
		{"Dockerfile", "b", both},
		{"Docker", "a", both},
		{"z", "b", both},
		{"Dockerfile", "", []member{file("Dockerfile", "")}},
		{"Dockerfile", "", nil},
	} {
		packed, _ := canonical(t, pack(t, tc.members...))
		if got, err := buildcontext.ReadIgnore(bytes.NewReader(packed), tc.name); string(got) != tc.want || err != nil {
			t.Errorf("ReadIgnore(%q) = %q, %v; want %q", tc.name, got, err, tc.want)
		}
	}
	packed, _ := canonical(t, pack(t, dir(".dockerignore", 0o755)))
	_, err := buildcontext.ReadIgnore(bytes.NewReader(packed), "Dockerfile")
	wantInputError(t, err, ".dockerignore", "must be a regular file")
}

func TestLinkTarget(t *testing.T) {
	for _, tc := range []struct{ name, target, want string }{
		{"a", "b", "b"},
		{"x/a", "b", "x/b"},
		{"x/a", "./../b", "b"},
		{"x/y/a", ".././../b//c/.", "b/c"},
		{"x/a", "..b", "x/..b"},
	} {
		if got, err := buildcontext.LinkTarget(tc.name, tc.target); got != tc.want || err != nil {
			t.Errorf("LinkTarget(%q, %q) = %q, %v; want %q", tc.name, tc.target, got, err, tc.want)
		}
	}
	for _, target := range []string{"", ".", "..", "../..", "../../x", "./", "a/..", "a/../b", "/", "../x/../.."} {
		if got, err := buildcontext.LinkTarget("x/a", target); err == nil {
			t.Errorf("LinkTarget(%q) = %q, want an error", target, got)
		}
	}
}
