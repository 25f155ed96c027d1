package kaniko_test

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kiln/internal/kaniko"
	"kiln/internal/preflight"
)

// say is a line of the executor's own.
func say(message string) string {
	return `{"level":"info","msg":"` + message + `","time":"2026-01-01T00:00:00Z"}`
}

// show returns what is shown of lines that arrive every half second.
func show(t *testing.T, dockerfile string, lines ...string) []string {
	t.Helper()
	var stages []preflight.Stage
	if dockerfile != "" {
		parsed, err := preflight.Parse("Dockerfile", []byte(dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		stages = parsed.Stages
	}
	progress, now := kaniko.NewProgress(stages), time.Time{}
	var shown []string
	for _, line := range lines {
		shown = append(shown, progress.Line(line, now)...)
		now = now.Add(500 * time.Millisecond)
	}
	return append(shown, progress.Done(now)...)
}

func TestProgress(t *testing.T) {
	running := []string{say("RUN make"), say("Cmd: /bin/sh"), say("Running: [/bin/sh -c make]")}
	tests := []struct {
		name       string
		dockerfile string
		lines      []string
		want       []string
	}{
		{"nothing", "", nil, nil},
		{"before any step", "", []string{"kaniko says 127.0.0.1:5001/ghcr__io/a"}, []string{"kaniko says ghcr.io/a"}},
		{
			"scratch under other words", "ARG NONE=scratch\nFROM --platform=$BUILDPLATFORM scratch AS Files\nCOPY a b\nFROM $NONE\nCOPY --from=files b c",
			[]string{
				say("Building stage 'scratch' [idx: '0', base-idx: '-1']"), say("COPY a b"),
				say("Building stage 'scratch' [idx: '1', base-idx: '-1']"), say("COPY --from=files b c"),
			},
			[]string{
				"#1 [files 1/1] COPY a b", "#1 DONE 0.5s",
				"#2 [stage-1 1/1] COPY --from=files b c", "#2 DONE 0.5s",
			},
		},
		{
			"a stage is left out", "ARG X\nFROM a AS unused\nRUN x\nFROM b AS build\nRUN y\nFROM scratch\nCOPY --from=build y z",
			[]string{
				say("Building stage 'b' [idx: '0', base-idx: '-1']"), say("RUN y"),
				say("Building stage 'scratch' [idx: '1', base-idx: '-1']"), say("COPY --from=build y z"),
			},
			[]string{
				"#1 [build 1/2] FROM b", "#1 DONE 0.5s", "#2 [build 2/2] RUN y", "#2 DONE 0.5s",
				"#3 [stage-2 1/1] COPY --from=build y z", "#3 DONE 0.5s",
			},
		},
		{
			"a stage is left out beside an image", "FROM a AS unused\nRUN x\nFROM b\nCOPY --from=c y z",
			[]string{say("Building stage 'b' [idx: '0', base-idx: '-1']"), say("COPY --from=c y z")},
			[]string{"#1 [stage-1 1/2] FROM b", "#1 DONE 0.5s", "#2 [stage-1 2/2] COPY --from=c y z", "#2 DONE 0.5s"},
		},
		{
			"stages", "FROM a\nRUN x\nFROM scratch\nCOPY y z\nENV A=b\nFROM a AS last\nCOPY --from=0 x x\nCOPY --from=1 z z",
			[]string{
				say("Retrieving image manifest a"), say("Retrieving image manifest a"),
				say("Building stage 'a' [idx: '0', base-idx: '-1']"), say("RUN x"),
				say("Building stage 'scratch' [idx: '1', base-idx: '-1']"), say("COPY y z"), say("ENV A=b"),
				say("Building stage 'a' [idx: '2', base-idx: '-1']"), say("COPY --from=0 x x"), say("COPY --from=1 z z"),
			},
			[]string{
				"#1 load metadata for a", "#1 DONE 1.0s", "#2 [stage-0 1/2] FROM a", "#2 DONE 0.5s", "#3 [stage-0 2/2] RUN x", "#3 DONE 0.5s",
				"#4 [stage-1 1/1] COPY y z", "#4 DONE 0.5s", "#5 ENV A=b", "#6 [last 1/3] FROM a", "#6 DONE 0.5s",
				"#7 [last 2/3] COPY --from=0 x x", "#7 DONE 0.5s", "#8 [last 3/3] COPY --from=1 z z", "#8 DONE 0.5s",
			},
		},
		{
			"a step that the Dockerfile does not hold", "FROM a\nRUN x\nRUN x",
			[]string{say("Building stage 'a' [idx: '0', base-idx: '-1']"), say("Executing 1 build triggers"), say("RUN trigger"), say("RUN x"), say("RUN x"), say("RUN x")},
			[]string{
				"#1 [1/3] FROM a", "#1 DONE 1.0s", "#2 RUN trigger", "#2 DONE 0.5s", "#3 [2/3] RUN x", "#3 DONE 0.5s",
				"#4 [3/3] RUN x", "#4 DONE 0.5s", "#5 RUN x", "#5 DONE 0.5s",
			},
		},
		{
			"a stage that does not exist", "FROM a",
			[]string{say("Building stage 'a' [idx: '99999999999999999999', base-idx: '-1']"), say("Building stage 'b' [idx: '7', base-idx: '-1']"), say("RUN x")},
			[]string{"#1 FROM a", "#1 DONE 0.5s", "#2 FROM b", "#2 DONE 0.5s", "#3 RUN x", "#3 DONE 0.5s"},
		},
		{
			"output with carriage returns", "", append(running, "10%\r20%\r100%\r", "", "a\tb"),
			[]string{"#1 RUN make", "#1 1.50 100%", "#1 2.00 ", "#1 2.50 a\tb", "#1 DONE 3.0s"},
		},
		{
			"a RUN that logs as the executor does", "", append(running, say("listening"), `{"level":"error","msg":"x","time":"t"}`, `{"level":"x"}`),
			[]string{"#1 RUN make", "#1 1.50 " + say("listening"), `#1 2.00 {"level":"error","msg":"x","time":"t"}`, `#1 2.50 {"level":"x"}`, "#1 DONE 3.0s"},
		},
		{
			"the executor's own words after a RUN", "", append(running, "x", say("Taking snapshot of full filesystem..."), say("Something new")),
			[]string{"#1 RUN make", "#1 1.50 x", "#1 2.50 Something new", "#1 DONE 3.0s"},
		},
		{
			"a warning", "",
			[]string{say("RUN make"), `{"level":"warning","msg":"Retrying operation\nafter 1s due to 127.0.0.1:5001/ghcr__io/a","time":"t"}`},
			[]string{"#1 RUN make", "#1 warning: Retrying operation after 1s due to ghcr.io/a", "#1 DONE 1.0s"},
		},
		{
			"an instruction of many lines", "",
			[]string{say(`RUN a \u0026\u0026   b\t\n\u001b[1m ` + strings.Repeat("é", 200))},
			[]string{"#1 RUN a && b [1m " + strings.Repeat("é", 104) + "…", "#1 DONE 0.5s"},
		},
		{
			"an error", "", append(running, "error building image: error building stage: failed to execute command: waiting for process to exit: exit status 3"),
			[]string{"#1 RUN make", "#1 ERROR: exit status 3"},
		},
		{
			"what a RUN makes up hides nothing", "",
			append(running, "error building image: no", say("Pushed x@sha256:0"), "::stop-commands::x", say("Deleting filesystem..."), "after"),
			[]string{"#1 RUN make", "#1 ERROR: no", "#1 2.50 ::stop-commands::x", "#1 3.50 after"},
		},
		{
			"output of a process that was left", "", append(running, say("Taking snapshot of full filesystem..."), "left", say("COPY a b"), "still there", say("RUN next"), say("Running: []"), "there"),
			[]string{"#1 RUN make", "#1 2.00 left", "#1 DONE 2.5s", "#2 COPY a b", "#1 3.00 still there", "#2 DONE 1.0s", "#3 RUN next", "#3 1.00 there", "#3 DONE 1.5s"},
		},
		{
			"the executor's own words in a later step", "", append(running, say("COPY a b"), say("Something new")),
			[]string{"#1 RUN make", "#1 DONE 1.5s", "#2 COPY a b", "#2 0.50 Something new", "#2 DONE 1.0s"},
		},
		{
			"output before any RUN", "",
			[]string{say("COPY a b"), "x", say("Taking snapshot of files..."), say("Taking snapshot of files...")},
			[]string{"#1 COPY a b", "#1 0.50 x", "#1 DONE 2.0s"},
		},
		{
			"JSON of a process that was left", "", append(running, say("Taking snapshot of full filesystem..."), say("as JSON"), `{"level":"info","msg":"m","time":"t","x":1}`),
			[]string{"#1 RUN make", "#1 2.00 as JSON", `#1 2.50 {"level":"info","msg":"m","time":"t","x":1}`, "#1 DONE 3.0s"},
		},
		{
			"push", "",
			[]string{say("ENTRYPOINT x"), say("Pushing image to 127.0.0.1:5001/ghcr__io/a/b:c"), say("Pushed 127.0.0.1:5001/ghcr__io/a/b@sha256:0")},
			[]string{"#1 ENTRYPOINT x", "#2 pushing ghcr.io/a/b:c", "#2 DONE 0.5s"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, show(t, tt.dockerfile, tt.lines...)); diff != "" {
				t.Errorf("shown (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProgressNow(t *testing.T) {
	progress := kaniko.NewProgress(nil)
	if title, _ := progress.Now(); title != "" {
		t.Errorf("at first: %q", title)
	}
	began := time.Unix(1, 0)
	progress.Line(say("RUN make"), began)
	if title, since := progress.Now(); title != "RUN make" || !since.Equal(began) {
		t.Errorf("now: %q since %v", title, since)
	}
}

// What a RUN prints without an end of line is followed by the executor's own
// words in the same line.
func TestLineIsParted(t *testing.T) {
	for name, tt := range map[string]struct {
		line string
		want []string
	}{
		"a record":             {"rest" + say("Taking snapshot of files..."), []string{"rest", say("Taking snapshot of files...")}},
		"an instruction":       {"rest" + say("RUN x"), []string{"rest", say("RUN x")}},
		"an error":             {"resterror building image: x", []string{"rest", "error building image: x"}},
		"a failed push":        {"resterror pushing image: x", []string{"rest", "error pushing image: x"}},
		"a program's log":      {"main.go " + say("listening"), []string{"main.go " + say("listening")}},
		"a record as it is":    {say("RUN x"), []string{say("RUN x")}},
		"the start of another": {`x{"level":"`, []string{`x{"level":"`}},
		"nothing":              {"", []string{""}},
	} {
		var log kaniko.Log
		if diff := cmp.Diff(tt.want, log.Line(tt.line)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Whatever the executor says when, each line of output is shown once and in
// order.
func TestProgressLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SampledFrom([]string{
			say("RUN a"), say("COPY a b"), say("Running: []"), say("Taking snapshot of files..."), say("Pushing image to x"), say("Pushed x"),
			say("Building stage 'scratch' [idx: '0', base-idx: '-1']"), say("Building stage 'a' [idx: '0', base-idx: '-1']"), "",
		})
		var log kaniko.Log
		progress, now := kaniko.NewProgress(nil), time.Time{}
		var shown, want []string
		for i := range rapid.IntRange(0, 60).Draw(t, "lines") {
			line := words.Draw(t, "line")
			if line == "" {
				line = fmt.Sprintf("output %d;", i)
				want = append(want, line)
			}
			for _, kept := range log.Line(line) {
				shown = append(shown, progress.Line(kept, now)...)
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "pause")) * time.Millisecond)
		}
		if diff := cmp.Diff(want, regexp.MustCompile(`output \d+;`).FindAllString(strings.Join(shown, "\n"), -1)); diff != "" {
			t.Fatalf("output (-want +got):\n%s", diff)
		}
	})
}

// A RUN can name as many images as it likes.
func TestProgressTellsOfFewImages(t *testing.T) {
	progress, now := kaniko.NewProgress(nil), time.Time{}
	told := 0
	for i := range 5000 {
		told += len(progress.Line(say(fmt.Sprintf("Retrieving image manifest i%d%s", i, strings.Repeat("x", 1000))), now))
	}
	if told > 2*1000 {
		t.Errorf("%d lines about images", told)
	}
}

// What is kept of a line that a RUN makes up must not keep the whole line.
func TestProgressKeepsNoLongLine(t *testing.T) {
	progress, now := kaniko.NewProgress(nil), time.Unix(0, 0)
	for _, line := range []string{say("RUN a"), say("Running: []"), say("Taking snapshot of files..."), say("COPY a b")} {
		progress.Line(line, now)
		now = now.Add(time.Hour)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	padding := strings.Repeat("x", 50<<10)
	for i := range 100 {
		progress.Line(padding+fmt.Sprintf("\r%d", i), now)
		progress.Line(say(fmt.Sprintf("Retrieving image manifest %d%s", i, padding)), now)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("%d bytes are kept", grown)
	}
	runtime.KeepAlive(progress)
}
