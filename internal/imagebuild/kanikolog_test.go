package imagebuild

import (
	"errors"
	"strings"
	"testing"

	"kiln/internal/podlog"
	"kiln/internal/podrun"
	"kiln/internal/steplog"
)

func TestKanikoLogForDebugging(t *testing.T) {
	var out strings.Builder
	k := newKanikoLog(steplog.New(&out, "", true), nil, "", creator)
	lines := `{"level":"info","msg":"RUN make","time":"t"}` + "\nUsage:\nPushing 127.0.0.1:5001/ghcr__io/a\npart"
	k.follow(func(sink podlog.Sink) error {
		for line := range strings.SplitAfterSeq(lines, "\n") {
			if err := sink([]byte(line), podlog.Position{}); err != nil {
				return err
			}
		}
		return nil
	})
	k.finish()
	if want := strings.Replace(lines, "127.0.0.1:5001/ghcr__io", "ghcr.io", 1) + "\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestAnUnreadableBuildLogIsSaidOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		want  string
		ended bool
	}{
		"read":       {nil, "", true},
		"unreadable": {errors.New("no\nroute"), "kiln: the build's log cannot be read any further: no route\n", false},
		"gone":       {podrun.ErrGone, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			k := newKanikoLog(steplog.New(&out, "", false), nil, "", creator)
			k.follow(func(podlog.Sink) error { return tt.err })
			if out.String() != tt.want || k.whole() != tt.ended {
				t.Errorf("log %q, ended %v", out.String(), k.whole())
			}
		})
	}
}

// The log of a build is told to be incomplete as soon as Kaniko says so, and
// once.
func TestIncompleteIsHeard(t *testing.T) {
	_, output := aLife(t, &strings.Builder{})
	line := []byte(`{"level":"error","msg":"Couldn't eval /x with link /x","time":"t"}` + "\n")
	if output.said(lack) {
		t.Error("incomplete before anything was said")
	}
	if err := errors.Join(output.sink(line, podlog.Position{}), output.sink(line, podlog.Position{})); err != nil {
		t.Fatal(err)
	}
	if first, second := <-output.says, <-output.says; first != begin || second != lack || len(output.says) != 0 || !output.said(lack) {
		t.Errorf("says %d and %d, and %d more", first, second, len(output.says))
	}
}
