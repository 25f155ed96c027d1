package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStepLog(t *testing.T) {
	var shown strings.Builder
	l := &stepLog{w: &shown}
	log := "::group::Build\n::stop-commands::0123456789\n::error::said by a RUN\n::0123456789::\n::endgroup::\n" +
		"::error file=Dockerfile,line=3::RUN failed\nHello"
	for _, part := range []string{log[:5], log[5:40], log[40:]} {
		if _, err := l.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.end(); err != nil {
		t.Fatal(err)
	}
	want := `│ ▾ Build
│   ::stop-commands::0123456789
│   ::error::said by a RUN
│   ::0123456789::
│ error: RUN failed  (file=Dockerfile,line=3)
│ Hello
`
	if diff := cmp.Diff(want, shown.String()); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
}
