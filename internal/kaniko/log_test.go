package kaniko_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/golden"
	"kiln/internal/kaniko"
	"kiln/internal/preflight"
)

// exitCodes are those with which the executor ended when it wrote the logs in
// testdata/logs; 1 where none is given. The logs are those of chainguard's
// v1.25.16 behind a gate; only the names of hosts were changed.
func exitCodes() map[string]int32 {
	return map[string]int32{"success": 0, "manythings": 0, "runexit": 3, "runkilled": 255, "cmdnotfound": 127}
}

func TestRealLogs(t *testing.T) {
	files, err := filepath.Glob("testdata/logs/*.log")
	if err != nil || len(files) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".log")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code, given := exitCodes()[name]
			if !given {
				code = 1
			}
			golden.File(t, filepath.Join("testdata", "logs", name+".txt"), read(string(text), dockerfile(t, name), code))
		})
	}
}

// dockerfile returns the stages of the Dockerfile of a log where it was kept.
func dockerfile(t *testing.T, name string) []preflight.Stage {
	t.Helper()
	data, err := os.ReadFile("testdata/logs/" + name + ".Dockerfile")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := preflight.Parse("Dockerfile", data)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Stages
}

// read returns what the author sees of a log of which a line arrives every
// tenth of a second, and why the build failed.
func read(text string, stages []preflight.Stage, code int32) string {
	var log kaniko.Log
	var b strings.Builder
	progress, now := kaniko.NewProgress(stages), time.Time{}
	for line := range strings.Lines(text) {
		now = now.Add(100 * time.Millisecond)
		for _, kept := range log.Line(strings.TrimSuffix(line, "\n")) {
			for _, shown := range progress.Line(kept, now) {
				fmt.Fprintln(&b, shown)
			}
		}
	}
	fmt.Fprintf(&b, "\npushed: %v\n", log.Pushed)
	if code != 0 {
		f := log.Failure(code, false)
		fmt.Fprintf(&b, "reason: %s\nmessage: %s\ninstruction: %s\nimage: %s\nsource: %s\n", f.Reason, f.Message, f.Instruction, f.Image, f.Source)
	}
	return b.String()
}

// What is sent in other words than the author's is shown, and blamed, in those of
// the author; what Kaniko says of a file beside the context is not shown.
func TestMendedInstructions(t *testing.T) {
	d, err := preflight.Parse("Dockerfile", []byte("FROM a\nCOPY <<EOF /f\nx\nEOF\nRUN <<EOF\nexit 7\nEOF\n"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := d.Report(preflight.Chainguard, nil)
	if err != nil {
		t.Fatal(err)
	}
	sent, err := report.Send(map[string]preflight.Base{"a": {}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	log, progress := kaniko.NewLog(sent.Stages), kaniko.NewProgress(sent.Stages)
	var shown []string
	for _, line := range []string{
		say("Building stage 'a' [idx: '0', base-idx: '-1']"), `{"level":"warning","msg":"No files to copy","time":"t"}`,
		say(`COPY [\"../heredoc/2/EOF\",\"/f\"]`), say(`RUN [\"/bin/sh\",\"-c\",\"exit 7\\n\"]`), say("Cmd: /bin/sh"), say(`Running: [/bin/sh -c exit 7\n]`),
		"error building image: error building stage: failed to execute command: waiting for process to exit: exit status 7",
	} {
		for _, kept := range log.Line(line) {
			shown = append(shown, progress.Line(kept, time.Time{})...)
		}
	}
	want := []string{"#1 [1/3] FROM a", "#1 DONE 0.0s", "#2 [2/3] COPY <<EOF /f", "#2 DONE 0.0s", "#3 [3/3] RUN <<EOF", "#3 ERROR: exit status 7"}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if line := progress.InstructionLine(); line != 5 {
		t.Errorf("the line is %d, want 5", line)
	}
	if f := log.Failure(7, false); f.Message != "RUN <<EOF failed with exit code 7" || f.Instruction != "RUN <<EOF" {
		t.Errorf("failure = %+v", f)
	}
}

func TestTranslate(t *testing.T) {
	for line, want := range map[string]string{
		"Pushing image to 127.0.0.1:5001/kiln-registry_5000/ci/app:k1-0": "Pushing image to kiln-registry:5000/ci/app:k1-0",
		"GET http://127.0.0.1:5001/v2/index__docker__io/library/x":       "GET http://docker.io/library/x",
		"127.0.0.1:5001/ghcr__io/a and 127.0.0.1:5001/quay__io/b":        "ghcr.io/a and quay.io/b",
		"127.0.0.1:5001/a_b/c": "127.0.0.1:5001/a_b/c",
		"nothing":              "nothing",
	} {
		if got := kaniko.Translate(line); got != want {
			t.Errorf("Translate(%q) = %q, want %q", line, got, want)
		}
	}
}

// The executor prints 80 lines of usage after an error of its flags; a RUN step
// that prints the word loses nothing.
func TestUsageIsDropped(t *testing.T) {
	const usage = "Error: bad\nUsage:\n  executor [flags]\n  executor [command]\n\nFlags:\n  -c, --context\n"
	if got := read(usage, nil, 1); !strings.HasPrefix(got, "Error: bad\n\npushed") {
		t.Errorf("shown: %q", got)
	}
	for _, text := range []string{"Usage:\n  executor\n", "Error: x\nUsage:\n  other\n", "Error: x\ny\nUsage:\n  executor\n"} {
		if got := read(text, nil, 0); !strings.HasPrefix(got, text) {
			t.Errorf("shown of %q: %q", text, got)
		}
	}
	got := read(`{"level":"info","msg":"RUN x","time":"t"}`+"\n"+usage, nil, 0)
	if want := strings.Count(usage, "\n"); strings.Count(got, "\n#1 ") != want {
		t.Errorf("shown of a RUN's usage text: %q", got)
	}
}

func FuzzLog(f *testing.F) {
	f.Add("{\"level\":\"info\",\"msg\":\"RUN x\",\"time\":\"t\"}\nError: x\nUsage:\n  executor\n", int32(1))
	f.Add("error building image: error building stage: failed to get fileinfo for /kaniko/0/x: no such file or directory", int32(1))
	f.Add("error building image: ", int32(1))
	f.Fuzz(func(t *testing.T, text string, code int32) {
		var log kaniko.Log
		progress := kaniko.NewProgress(nil)
		for line := range strings.SplitSeq(text, "\n") {
			for _, kept := range log.Line(line) {
				if shown := progress.Line(kept, time.Time{}); strings.Contains(strings.Join(shown, ""), "\n") {
					t.Fatalf("%q is shown as %q", kept, shown)
				}
			}
		}
		if got := log.Failure(code, false); got.Message == "" || got.Reason == "" {
			t.Fatalf("Failure = %+v", got)
		}
	})
}

// A reason that a RUN makes up is no longer than what is kept of a line.
func TestFailureIsShort(t *testing.T) {
	var log kaniko.Log
	log.Line("error building image: " + strings.Repeat("x", 60<<10))
	if got := len(log.Failure(1, false).Message); got < 1<<10 || got > 5<<10 {
		t.Errorf("a message of %d bytes", got)
	}
}
