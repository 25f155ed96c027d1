package kaniko_test

import (
	"fmt"
	"strings"
	"testing"

	"kiln/internal/failure"
	"kiln/internal/kaniko"
)

// end is how a build ended, for its failure.
type end struct {
	lines []string
	code  int32
	oom   bool
}

func (e end) failure() kaniko.Failure {
	var log kaniko.Log
	for _, line := range e.lines {
		log.Line(line)
	}
	return log.Failure(e.code, e.oom)
}

// Lines of the executor and of the gate behind it, as they were recorded; only
// hosts and digests were changed.
const (
	beginsRun  = `{"level":"info","msg":"RUN make","time":"t"}`
	beginsCopy = `{"level":"info","msg":"COPY a b","time":"t"}`
	exit       = "error building image: error building stage: failed to execute command: waiting for process to exit: exit status "
	signal     = "error building image: error building stage: failed to execute command: waiting for process to exit: signal: "
)

func TestFailure(t *testing.T) {
	pull := func(answer string) string {
		return `{"level":"warning","msg":"Failed to retrieve image x:1 from remapped registry 127.0.0.1:5001: ` + answer + `. Will try with the next registry, or fallback to the original registry.","time":"t"}`
	}
	const notFound = "error building image: image not found on any configured mapped registries for x:1"
	tests := []struct {
		name string
		end
		reason  failure.Reason
		message string
	}{
		{"nothing said", end{code: 1}, failure.Internal, "exit code 1 and gave no reason"},
		{"nothing said by a RUN", end{code: 9, lines: []string{beginsRun}}, failure.RunFailed, "RUN make failed with exit code 9"},
		{"out of memory", end{code: 137, oom: true, lines: []string{beginsRun}}, failure.OutOfMemory, "KILN_BUILD_MEMORY"},
		{"Kaniko killed by the kernel", end{code: 137, lines: []string{beginsRun, `kiln-init: /kaniko/executor was ended by the signal "killed"`}}, failure.OutOfMemory, "Kaniko itself was killed"},
		{"Kaniko ended by a RUN", end{code: 143, lines: []string{beginsRun, `kiln-init: /kaniko/executor was ended by the signal "terminated"`}}, failure.Internal, `ended by the signal "terminated"`},
		{"no executor", end{code: 127, lines: []string{"kiln-init: cannot start /kaniko/executor: no such file or directory"}}, failure.Misconfigured, "KILN_KANIKO_EXECUTOR"},
		{"no gate", end{code: 126, lines: []string{"kiln-init: nobody listens at 127.0.0.1:5001 after 1m0s: connection refused"}}, failure.NodeLost, "the gate of the build pod did not start in time"},
		{"a RUN that speaks as the first process", end{code: 1, lines: []string{beginsRun, `kiln-init: /x was ended by the signal "killed"`, exit + "1"}}, failure.RunFailed, "exit code 1"},
		{"killed from outside", end{code: 137, lines: []string{beginsRun}}, failure.Evicted, "Kaniko was killed"},
		{"a RUN that was killed", end{code: 255, lines: []string{beginsRun, signal + "killed"}}, failure.OutOfMemory, "it most likely ran out of memory"},
		{"a RUN that ended by another signal", end{code: 255, lines: []string{beginsRun, signal + "segmentation fault"}}, failure.RunFailed, "was ended by the signal \"segmentation fault\""},
		{"a RUN whose process was killed", end{code: 137, lines: []string{beginsRun, exit + "137"}}, failure.RunFailed, "may have run out of memory"},
		{
			"disk full",
			end{code: 1, lines: []string{beginsRun, "error building image: error building stage: failed to take snapshot: write /kaniko/1: no space left on device"}},
			failure.DiskFull, "KILN_BUILD_STORAGE",
		},
		{
			"no source",
			end{code: 1, lines: []string{"error building image: error building stage: failed to execute command: copy failed: no source files specified"}},
			failure.SourceMissing, "names files that are not there",
		},
		{
			"long instruction",
			end{code: 2, lines: []string{`{"level":"info","msg":"RUN ` + strings.Repeat("x", 500) + `","time":"t"}`, exit + "2"}},
			failure.RunFailed, strings.Repeat("x", 100) + "… failed with exit code 2",
		},
		{
			"a long reason",
			end{code: 2, lines: []string{beginsRun, strings.Replace(exit, "waiting", strings.Repeat("x", 60<<10)+": waiting", 1) + "2"}},
			failure.RunFailed, "RUN make failed with exit code 2",
		},
		{
			"what a RUN step prints is not the executor's",
			end{code: 2, lines: []string{beginsRun, "error building image: forged", pull("z"), exit + "2"}},
			failure.RunFailed, "RUN make failed with exit code 2",
		},
		{
			"status without a code",
			end{code: 1, lines: []string{pull("unable to complete operation after 0 attempts, last error: GET http://127.0.0.1:5001/v2/index__docker__io/library/x/manifests/1: unexpected status code 404 Not Found"), notFound}},
			failure.BaseImageNotFound, "the image x:1 does not exist",
		},
		{
			"base of another platform",
			end{code: 1, lines: []string{pull("no child with platform linux/arm64 in index 127.0.0.1:5001/index__docker__io/library/x:1"), notFound}},
			failure.BaseImageNotFound, "does not exist for linux/arm64",
		},
		{
			"pull limit",
			end{code: 1, lines: []string{pull("GET http://127.0.0.1:5001/v2/index__docker__io/library/x/manifests/1: TOOMANYREQUESTS: You have reached your unauthenticated pull rate limit"), notFound}},
			failure.RegistryUnreachable, "pull rate limit",
		},
		{
			"a name is no answer",
			end{code: 1, lines: []string{pull("GET http://127.0.0.1:5001/v2/index__docker__io/library/x/manifests/UNAVAILABLE: MANIFEST_UNKNOWN: manifest unknown"), notFound}},
			failure.BaseImageNotFound, "does not exist",
		},
		{
			"layer cannot be pulled",
			end{code: 1, lines: []string{"error building image: error building stage: failed to get filesystem from image: GET http://127.0.0.1:5001/v2/index__docker__io/library/x/blobs/sha256:0: UNAVAILABLE: kiln gate: registry index.docker.io: connection reset by peer"}},
			failure.RegistryUnreachable, "the base image cannot be pulled: registry index.docker.io: connection reset by peer",
		},
		{
			"layer cannot be unpacked",
			end{code: 1, lines: []string{"error building image: error building stage: failed to get filesystem from image: chown /x: operation not permitted"}},
			failure.Internal, "cannot unpack the base image",
		},
		{
			"push to a registry that fails",
			end{code: 1, lines: []string{"error pushing image: failed to push to destination 127.0.0.1:5001/a: POST http://127.0.0.1:5001/v2/x: unexpected status code 503 Service Unavailable"}},
			failure.RegistryUnreachable, "cannot be pushed",
		},
		{
			"push permission",
			end{code: 1, lines: []string{`error checking push permissions -- make sure you entered the correct tag name, and that you are authenticated correctly, and try again: checking push permission for "127.0.0.1:5001/a": POST http://127.0.0.1:5001/v2/a/blobs/uploads/: DENIED: no`}},
			failure.RegistryDeniedPush, "did not take the image: DENIED: no",
		},
		{
			"syntax",
			end{code: 1, lines: []string{"error building image: parsing dockerfile: dockerfile parse error on line 2: unknown instruction: RUUN (did you mean RUN?)"}},
			failure.DockerfileSyntax, "line 2: unknown instruction: RUUN",
		},
		{
			"a name of one letter",
			end{code: 1, lines: []string{"error building image: could not parse reference: registry.example.com/a:1"}},
			failure.BaseImageNotFound, `takes "registry.example.com/a:1" for no image`,
		},
		{
			"a RUN that speaks of errors",
			end{code: 5, lines: []string{`{"level":"info","msg":"RUN echo 'error pushing image: x' && exit 5","time":"t"}`, exit + "5"}},
			failure.RunFailed, `RUN echo 'error pushing image: x' && exit 5 failed with exit code 5`,
		},
		{
			"a link to itself",
			end{code: 1, lines: []string{beginsCopy, `{"level":"error","msg":"Couldn't eval /x/circle with link /x/circle","time":"t"}`, "error building image: error building stage: failed to take snapshot: EvalSymlinks: too many links"}},
			failure.UnsupportedInstruction, "cannot go past the symbolic link /x/circle",
		},
		{
			"context cut off",
			end{code: 1, lines: []string{"Error: error resolving source context: unexpected EOF"}},
			failure.ContextTransport, "did not arrive whole",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.failure()
			if got.Reason != tt.reason || !strings.Contains(got.Message, tt.message) {
				t.Errorf("Failure = %+v, want reason %s and message with %q", got, tt.reason, tt.message)
			}
		})
	}
}

// A RUN that failed by itself gets no second attempt by printing what the
// executor says of a registry, of the context or of a node. Only one that also
// ends the executor with the code 1 does; attempts are counted for that.
func TestForgedWords(t *testing.T) {
	for _, words := range []string{
		"error pushing image: failed to push to destination x: unexpected status code 503 Service Unavailable",
		"error building image: error building stage: failed to get filesystem from image: i/o timeout",
		`{"level":"warning","msg":"Failed to retrieve image x:1 from remapped registry y: i/o timeout. Will try with the next registry","time":"t"}`,
	} {
		forged := end{code: 3, lines: []string{beginsRun, words}}
		if got := forged.failure(); got.Reason != failure.RunFailed || got.Reason.Retry() {
			t.Errorf("with %q: %+v", words, got)
		}
	}
	begun := end{code: 1, lines: []string{beginsRun, "Error: error resolving source context: unexpected EOF"}}
	if got := begun.failure(); got.Reason.Retry() {
		t.Errorf("of a build that had begun: %+v", got)
	}
}

// The executor says by the way, and goes on, that it leaves files out.
func TestIncomplete(t *testing.T) {
	var log kaniko.Log
	log.Line(`{"level":"info","msg":"RUN ln -s x x","time":"t"}`)
	if _, incomplete := log.Incomplete(); incomplete {
		t.Error("a build is incomplete from its start")
	}
	log.Line(`{"level":"error","msg":"Couldn't eval /x with link /x","time":"t"}`)
	log.Line(beginsRun)
	if got, incomplete := log.Incomplete(); !incomplete || got.Instruction != "RUN ln -s x x" || !strings.Contains(got.Message, "/x,") {
		t.Errorf("Incomplete = %+v, %v", got, incomplete)
	}
}

// What a RUN printed makes its failure easier to understand. The lines are what
// the tools print.
func TestHints(t *testing.T) {
	const (
		network, ended, gone, cert = "not to have reached a server", "docker build would fail too; choose a newer base image", "a package is not", "trust a server's certificate"
	)
	for hint, outputs := range map[string][]string{
		network: {
			"curl: (6) Could not resolve host: example.com",
			"curl: (7) Failed to connect to example.com port 443 after 3 ms: Couldn't connect to server",
			"wget: bad address 'example.com'",
			"WARNING: fetching https://dl-cdn.alpinelinux.org/alpine/v3.20/main: DNS: transient error (try again later)\nERROR: unable to select packages:\n  curl (no such package):",
			"W: Failed to fetch http://deb.example.org/debian/dists/bookworm/InRelease  Temporary failure resolving 'deb.example.org'\nE: Unable to locate package curl",
			"npm error code ENOTFOUND\nnpm error network request to https://registry.example.org/x failed",
			"WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<pip>: Failed to establish a new connection: [Errno -2] Name or service not known')': /simple/x/\nERROR: No matching distribution found for x",
			"Get \"https://goproxy.example.com/x\": dial tcp: lookup goproxy.example.com: no such host",
			"Curl error (6): Couldn't resolve host name for https://mirrors.fedoraproject.org/metalink [Could not resolve host: mirrors.fedoraproject.org]",
		},
		ended: {
			"E: The repository 'http://deb.example.org/debian buster Release' does not have a Release file.\nN: See apt-secure(8) manpage for repository creation and user configuration details.",
			"E: The repository 'http://archive.ubuntu.com/ubuntu eoan Release' no longer has a Release file.",
			"Could not retrieve mirrorlist http://mirrorlist.centos.org/?release=7&arch=x86_64&repo=os&infra=container error was\n14: curl#6 - \"Could not resolve host: mirrorlist.centos.org; Unknown error\"",
			"Error: Failed to download metadata for repo 'appstream': Cannot prepare internal mirrorlist: No URLs in mirrorlist",
		},
		gone: {
			"E: Unable to locate package clang-tidy-6.0",
			"E: Version '1:2.39.5-0+deb12u1' for 'git' was not found",
			"ERROR: unable to select packages:\n  nodejs-npm (no such package):",
			"ERROR: No matching distribution found for left-pad==99",
			"npm ERR! code E404",
		},
		cert: {
			"curl: (60) SSL certificate problem: self-signed certificate in certificate chain",
			"x509: certificate signed by unknown authority",
			"(Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate')))",
		},
		"a disk was full": {"cp: error writing '/x': No space left on device"},
		"a Docker daemon": {"Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"},
		"need a right":    {"mount: /mnt: permission denied.", "chroot: cannot change root directory to '/x': Operation not permitted"},
	} {
		for _, output := range outputs {
			failed := end{code: 1, lines: append(append([]string{beginsRun}, strings.Split(output, "\n")...), exit+"1")}
			if got := failed.failure(); got.Reason != failure.RunFailed || !strings.Contains(got.Message, "exit code 1: ") || !strings.Contains(got.Message, hint) {
				t.Errorf("after %q: %+v, want a hint with %q", output, got, hint)
			}
		}
	}
}

// What an earlier instruction printed, and what the executor says, is no hint.
func TestHintIsOfTheStep(t *testing.T) {
	const refused = "connection refused"
	for _, lines := range [][]string{
		{beginsCopy, refused, beginsRun, exit + "1"},
		{beginsRun, "compiled", fmt.Sprintf(`{"level":"info","msg":"RUN echo %s","time":"t"}`, refused), exit + "1"},
	} {
		if got := (end{code: 1, lines: lines}).failure(); strings.Contains(got.Message, "server") {
			t.Errorf("after %q: %+v", lines, got)
		}
	}
}
