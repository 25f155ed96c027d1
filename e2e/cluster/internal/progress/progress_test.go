package progress_test

import (
	"bytes"
	"errors"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/e2e/cluster/internal/progress"
)

func TestDuring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := progress.New(&out)
		end := p.During("compiling", "a while", time.Minute)
		time.Sleep(90 * time.Second)
		end(nil)
		end = p.During("loading", "", time.Minute)
		time.Sleep(time.Second)
		end(errors.New("broken"))
		want := "[    0s] compiling (a while)\n" +
			"[  1m0s] compiling (a while): 1m0s so far\n" +
			"[ 1m30s] compiling: done in 1m30s\n" +
			"[ 1m30s] loading\n" +
			"[ 1m31s] loading: failed after 1s\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("printed (-want +got):\n%s", diff)
		}
	})
}

func TestKindLogger(t *testing.T) {
	var out bytes.Buffer
	logger := progress.KindLogger{Printer: progress.New(&out)}
	logger.V(0).Infof(" • Preparing %s\n", "nodes")
	logger.V(1).Info("details")
	logger.Warn("old\n")
	logger.Errorf("no %s", "way")
	got := regexp.MustCompile(`\[.*?\] `).ReplaceAllString(out.String(), "")
	if diff := cmp.Diff("• Preparing nodes\nwarning: old\nerror: no way\n", got); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}
