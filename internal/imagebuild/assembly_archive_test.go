package imagebuild_test

import (
	"strings"
	"testing"
	"testing/synctest"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestArchiveBehindRun: an archive behind the last RUN is unpacked without a pod, also
// with what this Kaniko would unpack otherwise than Docker.
func TestArchiveBehindRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		const dockerfile = "FROM base.example.com/base:1\nRUN make\nADD --chown=app a.tar main.c /x/\n"
		r := w.runner("a", nil, nil)
		for _, content := range []string{"one", "two"} {
			w.stage(dockerfile, "a.tar", string(tarOf(t, "d/", "", "d/f", content)), "main.c", "c")
			layers, _ := w.files(t, r.must(t))
			want := []string{"bin/ bin/sh bin/chmod etc/ etc/passwd", "made", "x/ x/d/ x/d/f x/main.c"}
			if diff := gocmp.Diff(want, layers); diff != "" {
				t.Errorf("layers (-want +got):\n%s", diff)
			}
		}
		r.wantLog(t, "CACHED (base part built", "ADD --chown=app a.tar main.c /x/ 0.0s")
		if n := w.podsMade(); n != 1 {
			t.Errorf("%d build pods, want one", n)
		}
		w.wantNothing(t)
	})
}

// TestArchiveThatCannotBeUnpacked is left to Kaniko, whole.
func TestArchiveThatCannotBeUnpacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		w.stage("FROM base.example.com/base:1\nRUN make\nADD a.tar /\nCOPY main.c /\n", "a.tar", string(tarOf(t, "f", "", "f/g", "g")), "main.c", "c")
		r := w.runner("a", nil, nil)
		r.must(t)
		r.wantLog(t, "[2/4] RUN make")
		if sent := len(w.contexts); sent != 2 || !strings.Contains(namesIn(t, strings.NewReader(string(w.contexts[1]))), "context/a.tar") {
			t.Errorf("%d contexts were sent, the last one without the archive", sent)
		}
		w.wantNothing(t)
	})
}
