package assemble_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/assemble"
	"kiln/internal/buildcontext"
	"kiln/internal/split"
	"kiln/internal/tarball"
	"kiln/internal/treeindex"
)

// pack writes a tar of lines: "name mode content", "name/ mode", "name -> target", and
// "name |" for a pipe; an owner "@uid:gid" may follow the mode, and a semicolon ends a line of the content.
func pack(t testing.TB, lines ...string) []byte {
	t.Helper()
	return packAt(t, time.Time{}, lines)
}

// packAt is pack with the time of all entries.
func packAt(t testing.TB, at time.Time, lines []string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, line := range lines {
		fields := strings.SplitN(line, " ", 3)
		h := &tar.Header{Format: tar.FormatPAX, Name: fields[0], Typeflag: tar.TypeReg, Mode: 0o644, ModTime: at}
		content := ""
		switch {
		case len(fields) == 3 && fields[1] == "->":
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, fields[2], 0o777
		case len(fields) == 2 && fields[1] == "|":
			h.Typeflag, h.Mode = tar.TypeFifo, 0o640
		default:
			if strings.HasSuffix(h.Name, "/") {
				h.Typeflag, h.Mode = tar.TypeDir, 0o755
			}
			if len(fields) > 1 {
				mode, owner, _ := strings.Cut(fields[1], "@")
				if _, err := fmt.Sscanf(mode, "%o", &h.Mode); err != nil {
					t.Fatal(err)
				}
				if owner != "" {
					if _, err := fmt.Sscanf(owner, "%d:%d", &h.Uid, &h.Gid); err != nil {
						t.Fatal(err)
					}
				}
			}
			if len(fields) > 2 {
				content = strings.ReplaceAll(fields[2], ";", "\n")
			}
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// base is the image below.
const base = `bin/
bin/busybox 755 program
bin/sh -> busybox
bin/chmod -> busybox
etc/
etc/passwd 644 root:x:0:0::/:/bin/sh;app:x:1000:1001::/:/bin/sh
etc/group 644 staff:x:50:
opt/ 700@7:8
opt/old 600@7:8 old
opt/sub/ 711@7:8
srv/ 2775@0:50
current -> opt
tmp/ 1777
file 644 x`

// files is the context.
const files = `a 644 A
b 755 B
d/ 711
d/e 600 E
d/f/ 700
d/f/g 644 G
d/l -> e
l -> d/f
run.sh 644 #!/bin/sh`

// links are more files of the context.
const links = `
s/
s/bent -> ../current/../a
s/one -> ../current
s/open -> ../a/
s/two -> one`

// assembled is what came of a Dockerfile.
type assembled struct {
	plan    *split.Plan
	image   *assemble.Image
	context []byte
}

// input splits a Dockerfile whose base part is its base image, and makes the canonical
// context.
func input(t testing.TB, dockerfile, context string) (in assemble.Input, content []byte) {
	t.Helper()
	return inputOf(t, dockerfile, pack(t, strings.Split(context, "\n")...), nil)
}

// inputOf is input for a context that has archives.
func inputOf(t testing.TB, dockerfile string, context []byte, archives map[string][]byte) (in assemble.Input, content []byte) {
	t.Helper()
	var canonical bytes.Buffer
	_, tree, err := buildcontext.CanonicalTree(&canonical, bytes.NewReader(context), buildcontext.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	index, err := treeindex.Read("l", bytes.NewReader(pack(t, strings.Split(base, "\n")...)))
	if err != nil {
		t.Fatal(err)
	}
	below, err := treeindex.Overlay(t.Context(), index)
	if err != nil {
		t.Fatal(err)
	}
	config := `{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin","NAME=a"],"Cmd":["sh"],"Labels":{"of":"base"}},"rootfs":{"type":"layers","diff_ids":["sha256:base"]},"history":[{"created_by":"base"}]}`
	plan, err := split.Decide(split.Input{
		Dockerfile: []byte(dockerfile), Tree: tree,
		Archive: func(path string) (tarball.Facts, bool) {
			facts, err := tarball.Look(t.Context(), bytes.NewReader(archives[path]), tarball.Watch{})
			return facts, err == nil
		},
		Bases: map[string]split.Base{"base": {Env: []string{"PATH=/bin", "NAME=a"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	listed, err := assemble.Archives(t.Context(), plan, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(canonical.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	in = assemble.Input{Plan: plan, Config: []byte(config), Below: below, Context: tree, Archives: listed}
	if plan.Image == "scratch" {
		in.Config, in.Below = nil, treeindex.Empty()
	}
	return in, canonical.Bytes()
}

// run splits and assembles a Dockerfile.
func run(t testing.TB, dockerfile, context string) (assembled, error) {
	t.Helper()
	in, content := input(t, dockerfile, context)
	image, err := assemble.Assemble(t.Context(), in)
	return assembled{in.Plan, image, content}, err
}

// write writes the layer from another context.
func (a assembled) write(ctx context.Context, content []byte) error {
	_, err := a.image.WriteLayer(ctx, io.Discard, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	return err
}

// layer lists the layer: everything but a directory that is the base's own.
func (a assembled) layer(t testing.TB) string {
	t.Helper()
	var packed bytes.Buffer
	if _, err := a.image.WriteLayer(t.Context(), &packed, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(a.context)), nil }); err != nil {
		t.Fatal(err)
	}
	gz, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(lines, "\n")
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%s %o", h.Name, h.Mode)
		switch h.Typeflag {
		case tar.TypeSymlink:
			line = h.Name + " -> " + h.Linkname
		case tar.TypeFifo:
			line = fmt.Sprintf("%s| %o", h.Name, h.Mode)
		}
		if h.Uid != 0 || h.Gid != 0 {
			line += fmt.Sprintf("@%d:%d", h.Uid, h.Gid)
		}
		if len(content) > 0 {
			line += " " + string(content)
		}
		if !h.ModTime.Equal(buildcontext.Time()) {
			line += " at " + h.ModTime.UTC().Format("2006.999")
		}
		lines = append(lines, line)
	}
}

func TestLayer(t *testing.T) {
	for _, test := range []struct{ name, rest, want string }{
		{"a file", "COPY a /x", "x 644 A"},
		{"a file into a directory that is there", "COPY a /opt", "opt/ 700@7:8\nopt/a 644 A"},
		{"a file into a new directory", "COPY a /n/m/", "n/ 755\nn/m/ 755\nn/m/a 644 A"},
		{"a file to a name in a new directory", "COPY a /n/m", "n/ 755\nn/m 644 A"},
		{"through a link of the base", "COPY a /current/", "opt/ 700@7:8\nopt/a 644 A"},
		{"over a file", "COPY a /opt/old", "opt/ 700@7:8\nopt/old 644 A"},
		{"a directory's content", "COPY d /n", "n/ 755\nn/f/ 700\nn/l -> e\nn/e 600 E\nn/f/g 644 G"},
		{"a directory's content onto one that is there", "COPY d /opt", "opt/ 700@7:8\nopt/f/ 700\nopt/l -> e\nopt/e 600 E\nopt/f/g 644 G"},
		{"a directory over one below", "COPY . /n/\nCOPY d /n", "n/ 755\nn/d/ 711\nn/d/f/ 700\nn/f/ 700\nn/d/l -> e\nn/l -> e\nn/a 644 A\nn/b 755 B\nn/d/e 600 E\nn/d/f/g 644 G\nn/run.sh 644 #!/bin/sh\nn/e 600 E\nn/f/g 644 G"},
		{"what a link leads to", "COPY l /n", "n/ 755\nn/g 644 G"},
		{"several sources", "COPY a d/e b /n/", "n/ 755\nn/a 644 A\nn/b 755 B\nn/e 600 E"},
		{"a pattern", "COPY ? /n/", "n/ 755\nn/f/ 700\nn/l -> e\nn/a 644 A\nn/b 755 B\nn/e 600 E\nn/f/g 644 G\nn/g 644 G"},
		{"a pattern of nothing", "COPY nothing* /n/", ""},
		{"relative to the working directory", "WORKDIR /opt/sub\nCOPY a .", "opt/ 700@7:8\nopt/sub/ 711@7:8\nopt/sub/a 644 A"},
		{"chmod", "COPY --chmod=751 d /n/m/", "n/ 751\nn/m/ 751\nn/m/f/ 751\nn/m/l -> e\nn/m/e 751 E\nn/m/f/g 751 G"},
		{"chmod in letters", "COPY --chmod=go-rwx,u+X b d/f /n/", "n/ 755\nn/b 700 B\nn/g 600 G"},
		{"chmod with setuid", "COPY --chmod=4755 a /n/", "n/ 755\nn/a 4755 A"},
		{"chown by number", "COPY --chown=5 a d /n/", "n/ 755@5:5\nn/f/ 700@5:5\nn/l -> e@5:5\nn/a 644@5:5 A\nn/e 600@5:5 E\nn/f/g 644@5:5 G"},
		{"chown by name", "COPY --chown=app a /n", "n 644@1000:1001 A"},
		{"chown by name and group", "COPY --chown=app:staff a /n", "n 644@1000:50 A"},
		{"chown to nobody known", "COPY --chown=who:where a /n", "n 644 A"},
		{"chown to root's group", "COPY --chown=7:root a /n", "n 644@7:0 A"},
		{"chown to a group alone", "COPY --chown=:staff a /n", "n 644@0:50 A"},
		{"parents", "COPY --parents d/f/g /n/", "n/ 755\nn/d/ 711\nn/d/f/ 700\nn/d/f/g 644 G"},
		{"parents from a pivot", "COPY --parents d/./f/g /n/", "n/ 755\nn/f/ 700\nn/f/g 644 G"},
		{"parents with a pattern", "COPY --parents **/g /n/", "n/ 755\nn/d/ 711\nn/d/f/ 700\nn/d/f/g 644 G"},
		{"exclude", "COPY --exclude=e --exclude=f/* d /n/", "n/ 755\nn/f/ 700\nn/l -> e"},
		{"exclude with an exception", "COPY --exclude=f --exclude=!f/g d /n/", "n/ 755\nn/f/ 700\nn/l -> e\nn/e 600 E\nn/f/g 644 G"},
		{"link", "COPY --link a /current/", "current/ 755\ncurrent/a 644 A"},
		{"link onto directories", "COPY --link a /tmp/x", "tmp/ 755\ntmp/x 644 A"},
		{"link over a directory", "COPY --link a /opt", "opt 644 A"},
		{"heredoc", "COPY <<F <<\"G\" /n/\n$NAME\nF\n$NAME\nG", "n/ 755\nn/F 644 a\n\nn/G 644 $NAME\n"},
		{"below a directory with setgid", "COPY a /srv/n/", "srv/ 2775@0:50\nsrv/n/ 2755@0:50\nsrv/n/a 644 A"},
		{"the same file twice", "COPY a /x\nCOPY a /y", "x 644 A\ny 644 A"},
		{"a file of the rest over another", "COPY a /x\nCOPY b /x", "x 755 B"},
		{"workdir", "USER app\nWORKDIR /n/m", "n/ 755@1000:1001\nn/m/ 755@1000:1001"},
		{"workdir that is there", "WORKDIR /opt", ""},
		{"workdir behind a link", "WORKDIR /current/n", "opt/ 700@7:8\nopt/n/ 755"},
		{"chmod by a run", "COPY run.sh /x/\nWORKDIR /x\nRUN chmod +x run.sh", "x/ 755\nx/run.sh 755 #!/bin/sh"},
		{"chmod by a run, in octal", "COPY run.sh /x\nRUN chmod 0500 /x", "x 500 #!/bin/sh"},
		{"chmod by a run, from the working directory", "WORKDIR /x/\nCOPY run.sh .\nRUN chmod +x ./run.sh", "x/ 755\nx/run.sh 755 #!/bin/sh"},
		{"chmod by a run, behind a link", "COPY d /x\nRUN chmod 711 /x/l", "x/ 755\nx/f/ 700\nx/l -> e\nx/e 711 E\nx/f/g 644 G"},
		{"chmod by a run that may not write for all", "COPY run.sh /x\nRUN chmod +w /x\nRUN chmod o+w /x", "x 646 #!/bin/sh"},
		{"nothing", "ENV A=1", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := run(t, "FROM base\n"+test.rest+"\n", files)
			if err != nil {
				t.Fatal(err)
			}
			layer := got.layer(t)
			if diff := cmp.Diff(test.want, layer); diff != "" {
				t.Errorf("the layer (-want +got):\n%s", diff)
			}
			if got.image.Changes() != (layer != "") {
				t.Errorf("Changes = %t", got.image.Changes())
			}
			if again, _ := run(t, "FROM base\n"+test.rest+"\n", files); again.layer(t) != layer {
				t.Error("the same again gives another layer")
			}
		})
	}
}

func TestUnsure(t *testing.T) {
	for name, rest := range map[string]string{
		"a directory below a file":          "COPY d/e /n/x\nCOPY d /y/\nCOPY --parents d/./f /n/x/",
		"a directory over a file":           "COPY d /file",
		"below a file":                      "COPY a /file/x",
		"what is not there":                 "COPY nothing /x",
		"a mode of other letters":           "COPY --chmod=u+s a /x",
		"a link by name":                    "COPY --link --chown=app a /x",
		"an owner below zero":               "COPY --chown=-1 a /x",
		"accounts from the context":         "COPY a /etc/passwd\nCOPY --chown=app a /x",
		"a directory and back":              "COPY --link a /opt\nCOPY --link d /opt",
		"a signal that is none":             "STOPSIGNAL SIGNOTHING",
		"a port of the host":                "EXPOSE 80:80",
		"chmod of the base's":               "RUN chmod +x /file",
		"chmod of what is not there":        "RUN chmod +x /nothing",
		"chmod of a directory":              "COPY d /x/\nRUN chmod 700 /x/f",
		"chmod after another shell came in": "COPY a /bin/sh\nCOPY a /x\nRUN chmod 700 /x",
		"chmod after another chmod came in": "ENV PATH=/app:/bin\nCOPY a /app/chmod\nCOPY a /x\nRUN chmod 700 /x",
		"chmod without a search path":       "ENV PATH=\nCOPY a /x\nRUN chmod 700 /x",
		"chmod with a library":              "ENV LD_PRELOAD=/x\nCOPY a /x\nRUN chmod 700 /x",
		"chmod from a directory above":      "COPY a /a\nCOPY a /opt/a\nWORKDIR /current/..\nRUN chmod 700 a",
		"chmod found above":                 "COPY a /x\nENV PATH=/current/../bin\nRUN chmod 700 /x",
		"chmod found behind many links":     "ENV PATH=/s/two:/bin\nCOPY s /s\nCOPY a /opt/chmod\nCOPY a /x\nRUN chmod 700 /x",
		"chmod behind a link that bends":    "COPY a /a\nCOPY s /s\nRUN chmod 700 /s/bent",
		"chmod behind a link to no file":    "COPY a /a\nCOPY s /s\nRUN chmod 700 /s/open",
		"a long name":                       "COPY a /x/" + strings.Repeat("n", 256),
		"a long name of a directory":        "COPY a /" + strings.Repeat("n", 256) + "/",
		"a long name by --link":             "COPY --link a /x/" + strings.Repeat("n", 256),
		"a working directory's long name":   "WORKDIR /" + strings.Repeat("n", 256),
		"a long path":                       "WORKDIR /" + strings.Repeat("n/", 1900) + "\nCOPY a " + strings.Repeat("m/", 100),
		"a long working directory":          "WORKDIR /" + strings.Repeat("n/", 1900) + "\nWORKDIR " + strings.Repeat("n/", 100),
		"parents of what is not there":      "COPY --parents d/nothing /x/",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := run(t, "FROM base\n"+rest+"\n", files+links)
			if _, unsure := errors.AsType[*split.Unsure](err); !unsure {
				t.Errorf("got %v and the error %v, want one of type *split.Unsure", got.image, err)
			}
		})
	}
}

// A file that goes to many places would have the context read as often, and a context
// that is copied over and over would not fit into memory.
func TestBounds(t *testing.T) {
	var many, twice strings.Builder
	for i := range 17 {
		fmt.Fprintf(&many, "COPY a /%d\n", i)
	}
	lines := make([]string, 2000)
	for i := range lines {
		lines[i] = fmt.Sprintf("f%04d 644", i)
	}
	deep := make([]string, 4000)
	for i := range deep {
		deep[i] = fmt.Sprintf("%s%04d 644", strings.Repeat("n", 200), i)
	}
	for i := range 80 {
		fmt.Fprintf(&twice, "COPY . /%d/\n", i)
	}
	for name, test := range map[string]struct{ rest, context, want string }{
		"one file in many places": {many.String(), files, "a goes to more than 16 places"},
		"long names":              {"COPY . /" + strings.Repeat(strings.Repeat("n", 250)+"/", 14) + "\nWORKDIR /x\nCOPY . " + strings.Repeat(strings.Repeat("n", 250)+"/", 14) + "x/", strings.Join(deep, "\n"), "it makes too many files with long names"},
		"long instructions":       {"ENV A=" + strings.Repeat("a", 4000) + "\n" + strings.Repeat("LABEL A=$A\n", 1100), files, "its instructions are too long"},
		"many files":              {twice.String(), strings.Join(lines, "\n"), "it makes too many files"},
	} {
		_, err := run(t, "FROM base\n"+test.rest, test.context)
		if u, unsure := errors.AsType[*split.Unsure](err); !unsure || u.Reason != test.want {
			t.Errorf("%s: got the error %v, want %q", name, err, test.want)
		}
	}
}

// TestLinkOverMany puts files over as many directories, which takes as long as the two
// have entries together.
func TestLinkOverMany(t *testing.T) {
	const count = 15_000
	lines := []string{"d/"}
	for i := range count {
		lines = append(lines, fmt.Sprintf("d/%05d/", i), fmt.Sprintf("d/%05d/f 644", i))
	}
	lines = append(lines, "f/")
	for i := range count {
		lines = append(lines, fmt.Sprintf("f/%05d 644", i))
	}
	got, err := run(t, "FROM scratch\nCOPY a /x/a/b\nCOPY --link d /x/\nCOPY --link f /x/\n", "a 644\n"+strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	layer := strings.Split(got.layer(t), "\n")
	if first := strings.Join(layer[:4], " "); len(layer) != 3+count || first != "x/ 755 x/a/ 755 x/a/b 644 x/00000 644" {
		t.Errorf("the layer has %d entries, and begins with %s", len(layer), first)
	}
}

// TestCancelled ends when nobody waits for it any more.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("cancelled")
	cancel(cause)
	for _, rest := range []string{"COPY a /x", "COPY --link a /x", "COPY --parents d /x/"} {
		in, _ := input(t, "FROM base\n"+rest+"\n", files)
		if _, err := assemble.Assemble(ctx, in); !errors.Is(err, cause) {
			t.Errorf("%s: got the error %v, want %v", rest, err, cause)
		}
	}
}

func TestConfig(t *testing.T) {
	dockerfile := `FROM base
ARG V=1
ENV A=$V NAME=new
LABEL one=1 "two words"=$NAME
EXPOSE 80 90-91/udp
VOLUME /v $NAME
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD true
SHELL ["/bin/sh", "-x", "-c"]
USER app
WORKDIR /w
WORKDIR sub
COPY a .
ENTRYPOINT run it
ONBUILD RUN x
MAINTAINER me
`
	got, err := run(t, dockerfile, files)
	if err != nil {
		t.Fatal(err)
	}
	data, err := got.image.Config("sha256:layer")
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	var layers []string
	for _, entry := range config["history"].([]any) {
		entry := entry.(map[string]any)
		if entry["empty_layer"] != true {
			layers = append(layers, entry["created_by"].(string))
		}
	}
	if diff := cmp.Diff([]string{"base", "COPY a . # buildkit"}, layers); diff != "" {
		t.Errorf("history of layers (-want +got):\n%s", diff)
	}
	if got, want := len(config["history"].([]any)), 15; got != want {
		t.Errorf("the history has %d entries, want %d", got, want)
	}
	delete(config, "history")
	want := map[string]any{
		"architecture": "amd64", "os": "linux", "author": "me", "created": "2000-01-01T00:00:00Z",
		"rootfs": map[string]any{"type": "layers", "diff_ids": []any{"sha256:base", "sha256:layer"}},
		"config": map[string]any{
			"Env": []any{"PATH=/bin", "NAME=new", "A=1"}, "User": "app", "WorkingDir": "/w/sub", "StopSignal": "SIGINT",
			"Labels":       map[string]any{"of": "base", "one": "1", "two words": "new"},
			"ExposedPorts": map[string]any{"80/tcp": map[string]any{}, "90/udp": map[string]any{}, "91/udp": map[string]any{}},
			"Volumes":      map[string]any{"/v": map[string]any{}, "new": map[string]any{}},
			"Healthcheck":  map[string]any{"Test": []any{"CMD-SHELL", "true"}, "Interval": float64(5e9)},
			"Shell":        []any{"/bin/sh", "-x", "-c"}, "Entrypoint": []any{"/bin/sh", "-x", "-c", "run it"},
			"OnBuild": []any{"RUN x"},
		},
	}
	if diff := cmp.Diff(want, config); diff != "" {
		t.Errorf("the configuration (-want +got):\n%s", diff)
	}
}

// TestHistoryOfRun has the ARGs before a RUN in its entry, as BuildKit writes them.
func TestHistoryOfRun(t *testing.T) {
	for before, want := range map[string]string{
		"":                                      "RUN /bin/sh -c chmod 700  /a # buildkit",
		"ARG V=1 W\nENV V=2\nARG X=$V V":        "RUN |3 V=2 W= X=2 /bin/sh -c chmod 700  /a # buildkit",
		"ARG V=1\nFROM b\nARG W=2":              "RUN |2 V=1 W=2 /bin/sh -c chmod 700  /a # buildkit",
		"ARG BUILDKIT_SBOM_SCAN_STAGE=a\nARG A": "RUN |2 BUILDKIT_SBOM_SCAN_STAGE=a A= /bin/sh -c chmod 700  /a # buildkit",
	} {
		got, err := run(t, "FROM base AS b\n"+before+"\nCOPY a /a\nRUN chmod 700  /a\nENV A=1\n", files)
		if err != nil {
			t.Fatal(err)
		}
		data, err := got.image.Config("sha256:layer")
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			History []struct {
				CreatedBy string `json:"created_by"`
			}
		}
		if err := json.Unmarshal(data, &config); err != nil {
			t.Fatal(err)
		}
		if entry := config.History[len(config.History)-2].CreatedBy; entry != want {
			t.Errorf("%q: the entry is %q, want %q", before, entry, want)
		}
	}
}

func TestCmdAndEntrypoint(t *testing.T) {
	for rest, want := range map[string]string{
		`ENTRYPOINT ["x"]`:                           `["x"] null`,
		`CMD ["y"]` + "\n" + `ENTRYPOINT ["x"]`:      `["x"] ["y"]`,
		`ENTRYPOINT ["x"]` + "\n" + `CMD y $z`:       `["x"] ["/bin/sh","-c","y $z"]`,
		`CMD ["y"]`:                                  `null ["y"]`,
		`ENV A=1`:                                    `null ["sh"]`,
		`CMD []` + "\n" + `ENTRYPOINT []`:            `null null`,
		"CMD [\"y\"]\nFROM base\nENTRYPOINT [\"x\"]": `["x"] null`,
	} {
		got, err := run(t, "FROM base\n"+rest+"\n", files)
		if err != nil {
			t.Fatal(err)
		}
		data, err := got.image.Config("")
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			Config struct{ Entrypoint, Cmd []string }
		}
		if err := json.Unmarshal(data, &config); err != nil {
			t.Fatal(err)
		}
		entrypoint, _ := json.Marshal(config.Config.Entrypoint)
		cmd, _ := json.Marshal(config.Config.Cmd)
		if got := string(entrypoint) + " " + string(cmd); got != want {
			t.Errorf("%s makes %s, want %s", rest, got, want)
		}
	}
}

func TestScratch(t *testing.T) {
	got, err := run(t, "FROM scratch\nCOPY b /\nENTRYPOINT [\"/b\"]\n", files)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("b 755 B", got.layer(t)); diff != "" {
		t.Errorf("the layer (-want +got):\n%s", diff)
	}
	config, err := got.image.Config("sha256:layer")
	if err != nil || !bytes.Contains(config, []byte(`"Env":["PATH=/usr/local/sbin`)) {
		t.Errorf("the configuration is %s, %v", config, err)
	}
}
