//go:build e2e

package e2e_test

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
	"kiln/internal/failure"
)

// listContext is an action that has copied its whole context and lists it.
const listContext = "FROM busybox\nCOPY . /context\n" +
	`ENTRYPOINT ["sh", "-c", "cd /context && find . -mindepth 1 | while read -r f; do stat -c '%A %u:%g %N' \"$f\"; done && test -f \"$(printf 'raw\\377')\" && echo raw name"]` + "\n"

// TestContexts builds from contexts at the edge of what a file system can hold:
// the image has what docker build would have put there, or the step says which
// file is in the way.
func TestContexts(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "contexts", func(_ suite.Stage, o *harness.PodOptions) {
		o.DaemonEnv = map[string]string{"KILN_CONTEXT_MAX_BYTES": "1048576"}
	})
	t.Run("cases", func(t *testing.T) {
		t.Run("links and names", func(t *testing.T) { t.Parallel(); contextOfLinks(t, f) })
		t.Run("ignore file of a Dockerfile", func(t *testing.T) { t.Parallel(); contextOfNamedFile(t, f) })
		t.Run("action in the runner's cache", func(t *testing.T) { t.Parallel(); contextInCache(t, f) })
		t.Run("100,000 files", func(t *testing.T) { long(t); t.Parallel(); contextOfManyFiles(t, f) })
		for _, c := range unusableContexts() {
			t.Run(c.name, func(t *testing.T) { t.Parallel(); unusableContext(t, f, c) })
		}
	})
	f.WantNothingLeft(t)
}

// contextOfLinks has the stand-in, which is user 1001, hold every kind of file
// that a context can have.
func contextOfLinks(t *testing.T, f *suite.Fixture) {
	long := strings.Repeat("n", 255)
	files := harness.Files{
		"Dockerfile": {Data: []byte(listContext)}, ".dockerignore": {Data: []byte("*.log\n!keep.log\npipe\n.dockerignore\nDockerfile\n")},
		"a.log": {}, "keep.log": {}, "dir/file": {Mode: 0o640}, "run.sh": {Mode: 0o755}, "two words": {}, "raw\xff": {}, long: {},
		"absolute": {Link: "/etc/passwd"}, "dangling": {Link: "nowhere"}, "to-dir": {Link: "dir"}, "up": {Link: "../x"},
	}
	dir := runner.ActionDir("acme/links@v1")
	if _, err := f.Run(t.Context(), "sh", "-c", `mkdir -p "$1" && mkfifo "$1/pipe" && perl -MIO::Socket::UNIX -e 'chdir $ARGV[0]; IO::Socket::UNIX->new(Local => "socket", Listen => 1) or die' "$1"`, "sh", suite.WorkFolder+"/"+dir); err != nil {
		t.Fatal(err)
	}
	result := fromContext(t, f, dir, "Dockerfile", files)
	want := []string{
		"lrwxrwxrwx 0:0 './absolute' -> '/etc/passwd'",
		"lrwxrwxrwx 0:0 './dangling' -> 'nowhere'",
		"drwxr-xr-x 0:0 ./dir",
		"-rw-r----- 0:0 ./dir/file",
		"-rw-r--r-- 0:0 ./keep.log",
		"-rw-r--r-- 0:0 ./" + long,
		"-rwxr-xr-x 0:0 ./run.sh",
		"lrwxrwxrwx 0:0 './to-dir' -> 'dir'",
		"-rw-r--r-- 0:0 ./two words",
		"lrwxrwxrwx 0:0 './up' -> '../x'",
		"raw name",
	}
	wantListing(t, result, want)
}

// contextOfNamedFile has an ignore file of the Dockerfile's own, which alone
// counts.
func contextOfNamedFile(t *testing.T, f *suite.Fixture) {
	files := harness.Files{
		"my.Dockerfile":              {Data: []byte(strings.Replace(listContext, "COPY . ", "COPY . /context/\nRUN touch /context/raw$(printf '\\377')\nCOPY wanted ", 1))},
		"my.Dockerfile.dockerignore": {Data: []byte("*\n!wanted\n")}, ".dockerignore": {Data: []byte("wanted\n")},
		"wanted": {}, "unwanted": {},
	}
	result := fromContext(t, f, runner.ActionDir("acme/named@v1"), "my.Dockerfile", files)
	wantListing(t, result, []string{"-rw-r--r-- 0:0 ./wanted", "raw name"})
}

// contextInCache has an action where the runner puts those of its archive cache
// with ACTIONS_RUNNER_SYMLINK_CACHED_ACTIONS: the directory of a ref is a link out
// of the work folder, to what no other pod can mount (actions/runner,
// ActionManager.cs).
func contextInCache(t *testing.T, f *suite.Fixture) {
	dir := runner.ActionDir("acme/cached@v1")
	const script = `mkdir -p "$1" /tmp/action-cache/acme_cached/sha/docker && cd /tmp/action-cache/acme_cached/sha &&
		printf 'FROM busybox\nCOPY docker/greeting /\nENTRYPOINT ["cat", "/greeting"]\n' >Dockerfile &&
		printf 'FROM busybox\nCOPY greeting /\nENTRYPOINT ["cat", "/greeting"]\n' >docker/Dockerfile &&
		echo "from the cache" >docker/greeting && ln -s /tmp/action-cache/acme_cached/sha "$1/v1"`
	if _, err := f.Run(t.Context(), "sh", "-c", script, "sh", path.Dir(suite.WorkFolder+"/"+dir)); err != nil {
		t.Fatal(err)
	}
	for _, dockerfile := range []string{"/Dockerfile", "/docker/Dockerfile"} {
		result := f.Play(t, runner.Step{Dockerfile: dir + dockerfile}, nil)
		if result.ExitCode != 0 {
			t.Errorf("%s: exit code = %d, want 0", dockerfile, result.ExitCode)
		}
		outcome.Log(t, result, "\nfrom the cache\n")
	}
}

// contextOfManyFiles builds from as many files as the limit allows, and not from
// more.
func contextOfManyFiles(t *testing.T, f *suite.Fixture) {
	dir := runner.ActionDir("acme/many@v1")
	const script = `mkdir -p "$1" && cd "$1" && for d in $(seq 99); do mkdir $d; (cd $d && seq 1009 | xargs touch); done && seq 9 | sed s/^/file/ | xargs touch`
	if _, err := f.Run(t.Context(), "sh", "-c", script, "sh", suite.WorkFolder+"/"+dir); err != nil {
		t.Fatal(err)
	}
	// 99 directories of 1,009 files, 9 files and the Dockerfile.
	dockerfile := harness.Files{"Dockerfile": {Data: []byte("FROM busybox\nCOPY . /context\nENTRYPOINT [\"sh\", \"-c\", \"find /context -mindepth 1 | wc -l\"]\n")}}
	result := fromContext(t, f, dir, "Dockerfile", dockerfile)
	outcome.Success(t, result)
	outcome.Log(t, result, "\n100000\n")
	dockerfile["one-more"] = harness.File{}
	outcome.Error(t, fromContext(t, f, dir, "Dockerfile", dockerfile), "the build context has more than 100000 entries", failure.BadRequest.Mark())
}

// fromContext plays a step of the Dockerfile in dir.
func fromContext(t *testing.T, f *suite.Fixture, dir, dockerfile string, files harness.Files) *harness.Result {
	t.Helper()
	below := harness.Files{}
	for name, file := range files {
		below[dir+"/"+name] = file
	}
	step := runner.Step{Repository: "acme/app", Dockerfile: dir + "/" + dockerfile}
	result := f.Play(t, step, below)
	return result
}

// wantListing fails the test unless the action listed just that. A name that is
// no text is told from others by the action itself.
func wantListing(t *testing.T, result *harness.Result, want []string) {
	t.Helper()
	outcome.Success(t, result)
	_, listed, _ := strings.Cut(result.Log, "::endgroup::\n")
	var got []string
	for line := range strings.Lines(listed) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "kiln: ") && !strings.Contains(line, "./raw") {
			got = append(got, line)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the action found in its image (-want +got):\n%s\n%s", diff, outcome.Tail(result.Log))
	}
}

// unusable is a context that cannot be used, by what a shell adds to it.
type unusable struct {
	name, script string
	says         []string
}

func unusableContexts() []unusable {
	return []unusable{
		{"named pipe", "mkdir sub && mkfifo sub/pipe", []string{"sub/pipe: a build context cannot hold a named pipe", ".dockerignore"}},
		{"unreadable file", "mkdir sub && echo x >sub/secret && chmod 0 sub/secret", []string{"sub/secret: the runner's user may not read this"}},
		{"2 GiB", "truncate -s 2G big", []string{"big: the build context is larger than 1 MiB", "big with 2 GiB", "KILN_CONTEXT_MAX_BYTES"}},
		{"Dockerfile of 2 MiB", "truncate -s 2M Dockerfile", []string{"Dockerfile: the Dockerfile is larger than 1 MiB"}},
		{"link to itself", "rm Dockerfile && ln -s Dockerfile Dockerfile", []string{"Dockerfile: more than 8 symbolic links follow each other"}},
		{"circle of links", "ln -s b a && ln -s a b", []string{"a: this symbolic link leads back to itself", ".dockerignore"}},
		{"link out of the context", "echo FROM busybox >../elsewhere && ln -sf ../elsewhere Dockerfile", []string{"Dockerfile: this symbolic link leads to ../elsewhere, outside of the build context"}},
	}
}

// unusableContext plays a step with a context that says no.
func unusableContext(t *testing.T, f *suite.Fixture, c unusable) {
	dir := runner.ActionDir("acme/" + strings.ReplaceAll(c.name, " ", "-") + "@v1")
	script := `mkdir -p "$1" && cd "$1" && echo FROM busybox >Dockerfile && ` + c.script
	if _, err := f.Run(t.Context(), "sh", "-c", script, "sh", suite.WorkFolder+"/"+dir); err != nil {
		t.Fatal(err)
	}
	result := fromContext(t, f, dir, "Dockerfile", nil)
	outcome.Error(t, result, append(c.says, "["+string(failure.BadRequest)+"]")...)
}
