package assemble_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/assemble"
)

// many is a context of so many files in a directory, and a script.
func many(count int) string {
	lines := []string{"m/"}
	for i := range count {
		lines = append(lines, fmt.Sprintf("m/%06d 644", i))
	}
	return strings.Join(append(lines, "run.sh 644"), "\n")
}

// TestChmodOfMany has many a "RUN chmod" beside many files, which takes about as long as
// the files alone.
func TestChmodOfMany(t *testing.T) {
	const dockerfile = "FROM base\nCOPY m run.sh /x/\n"
	took := func(dockerfile string) time.Duration {
		in, _ := input(t, dockerfile, many(60_000))
		began := time.Now()
		if _, err := assemble.Assemble(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	alone := took(dockerfile)
	with := took(dockerfile + strings.Repeat("RUN chmod +x /x/run.sh\n", 900))
	if with > 3*alone+500*time.Millisecond {
		t.Errorf("it took %s with every chmod, %s without", with, alone)
	}
}

// TestCancelledMeanwhile ends a rest without a COPY, too, soon after nobody waits for it
// any more.
func TestCancelledMeanwhile(t *testing.T) {
	in, _ := input(t, "FROM base\nCOPY a /x\nENV PATH="+strings.Repeat("/n:", 600)+"/bin\n"+strings.Repeat("RUN chmod 700 /x\n", 900), files)
	began := time.Now()
	if _, err := assemble.Assemble(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(began)
	ctx, cancel := context.WithTimeout(t.Context(), whole/10)
	defer cancel()
	began = time.Now()
	if _, err := assemble.Assemble(ctx, in); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got the error %v, want %v", err, context.DeadlineExceeded)
	}
	if took := time.Since(began); took > whole/2 {
		t.Errorf("it took %s, the whole %s", took, whole)
	}
}

// TestChmodLibrary goes by what the tree has at a "RUN chmod".
func TestChmodLibrary(t *testing.T) {
	for rest, want := range map[string]string{
		"COPY a /lib/x.so\nRUN chmod 700 /x":                                       "not split: line 4: " + unknownShell,
		"RUN chmod 700 /x\nCOPY a /lib/x.so":                                       "",
		"COPY --link a /usr/lib/x.so.1\nRUN chmod 700 /x":                          "not split: line 4: " + unknownShell,
		"COPY a /etc/ld.so.preload\nRUN chmod 700 /x":                              "not split: line 4: " + unknownShell,
		"COPY a /lib/x.so\nCOPY --link a /lib\nRUN chmod 700 /x":                   "",
		"COPY a b /lib64/x.so/\nCOPY --link b /lib64/x.so\nRUN chmod 1 /x":         "not split: line 5: " + unknownShell,
		"COPY a /lib/x.so\nCOPY b /lib/x.so\nCOPY --link a /lib\nRUN chmod 700 /x": "",
	} {
		_, err := run(t, "FROM base\nCOPY a /x\n"+rest+"\n", files)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the error (-want +got):\n%s", rest, diff)
		}
	}
}

const unknownShell = "what chmod does is not certain: the image has no /bin/sh and chmod of its own, or something may change what they do"
