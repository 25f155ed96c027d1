package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/e2e/harness"
)

func TestGzipContext(t *testing.T) {
	data, err := gzipContext(harness.Files{"_actions/a/b/v1/Dockerfile": {Data: []byte("FROM scratch\n"), Mode: 0o644}})
	if err != nil {
		t.Fatal(err)
	}
	gz, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = string(content)
	}
	if diff := cmp.Diff(map[string]string{"Dockerfile": "FROM scratch\n"}, got); diff != "" {
		t.Errorf("context (-want +got):\n%s", diff)
	}
}

func TestTable(t *testing.T) {
	b := &bench{times: map[string][]time.Duration{
		bareLog: {1}, bareEnd: {1}, freshLog: {1}, readyLog: {1}, readyEnd: {3 * time.Second}, kanikoLog: {1}, hookStart: {1},
		kanikoEnd: {time.Second, 2 * time.Second, 9 * time.Second},
		freshEnd:  {2 * time.Second},
		kilnReady: {4 * time.Second},

		kilnReused: {5 * time.Second},
		kilnAhead:  {5500 * time.Millisecond},
		jobStart:   {4 * time.Millisecond},
		kilnCold:   {5 * time.Second, 4 * time.Second, 3 * time.Second},

		bareRunning: {time.Second}, jobPrepared: {1250 * time.Millisecond},
		forkTrue: {time.Millisecond}, stepTrue: {5 * time.Millisecond}, execTrue: {500 * time.Millisecond}, execProcess: {600 * time.Millisecond},
		fork50: {9 * time.Millisecond}, step50: {10 * time.Millisecond}, exec50: {time.Second},
	}}
	var out strings.Builder
	b.table(&out, 3)
	// The columns' width depends on the longest name.
	table := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"kiln, cold: hook starts → hook exits 4.0000 1.00",
		"kiln's own overhead: kiln, cold − bare build + run 0.0000 0.00",
		"with an image on the node: over the bare action pod 1.0000 0.25",
		"the script of the job's start: starts → exits 0.0040",
		"20 s after the job's start over Dockerfile built before, times 1.10",
		"a step over its fork 0.0040",
		"pods/exec over a step, times 100",
		"pods/exec from a process of its own over a step, times 120",
		"50 MB: speed of a step, of a fork's 0.90",
		"prepare_job over a bare pod running 0.250",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("table has no line %q:\n%s", want, out.String())
		}
	}
}

// TestJobGoals: each figure is judged in seconds, beside what it is measured with.
func TestJobGoals(t *testing.T) {
	b := &bench{times: map[string][]time.Duration{
		bareRunning: {time.Second}, jobPrepared: {1350 * time.Millisecond},
		forkTrue: {time.Millisecond}, stepTrue: {15 * time.Millisecond}, execProcess: {600 * time.Millisecond},
		fork50: {90 * time.Millisecond}, step50: {100 * time.Millisecond},
	}}
	failed, err := b.jobGoals().print(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"whole jobs, s: " + jobPrepared + " " + bareRunning + " + 0.3",
		"whole jobs, s: " + stepTrue + " 0.02 × " + execProcess,
	}
	if diff := cmp.Diff(want, failed); diff != "" {
		t.Errorf("missed (-want +got):\n%s", diff)
	}
}
