package spool_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/spool"
)

// TestJobRecord: what is noted of a job is there after a restart, until it is forgotten,
// and is no request.
func TestJobRecord(t *testing.T) {
	dir := t.TempDir()
	state, err := spool.OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, noted, err := state.NotedJob(); noted || err != nil {
		t.Errorf("at first: %v, %v", noted, err)
	}
	want := spool.JobRecord{Request: "r1", Ready: true, JobPod: "p", Pods: []spool.Kept{{Name: "p", UID: "1"}}, Secrets: []spool.Kept{{Name: "s"}}}
	for _, record := range []spool.JobRecord{{Request: "r0"}, want} {
		if err := state.NoteJob(record); err != nil {
			t.Fatal(err)
		}
	}
	again, err := spool.OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, noted, err := again.NotedJob()
	if diff := cmp.Diff(want, got); diff != "" || !noted || err != nil {
		t.Errorf("noted %v, %v (-want +got):\n%s", noted, err, diff)
	}
	if ids, err := again.Accepted(); len(ids) != 0 || err != nil {
		t.Errorf("requests %v, %v", ids, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "job.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := again.NotedJob(); err == nil {
		t.Error("half a record is read")
	}
	for range 2 {
		if err := again.ForgetJob(); err != nil {
			t.Error(err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := state.NoteJob(want); err == nil {
		t.Error("noted without a state")
	}
}
