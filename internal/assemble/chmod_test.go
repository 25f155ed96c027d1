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

// BenchmarkChmodOfMany has many a "RUN chmod" beside many files, which takes about as long
// as the files alone.
func BenchmarkChmodOfMany(b *testing.B) {
	const dockerfile = "FROM base\nCOPY m run.sh /x/\n"
	took := func(dockerfile string) time.Duration {
		in, _ := input(b, dockerfile, many(60_000))
		began := time.Now()
		if _, err := assemble.Assemble(b.Context(), in); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
	var alone, with time.Duration
	for b.Loop() {
		alone += took(dockerfile)
		with += took(dockerfile + strings.Repeat("RUN chmod +x /x/run.sh\n", 900))
	}
	b.ReportMetric(with.Seconds()/alone.Seconds(), "x-alone")
}

// TestCancelledWithoutFiles ends a rest that copies nothing once nobody waits for it.
func TestCancelledWithoutFiles(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, rest := range []string{"ENV A=1", "RUN chmod 700 /etc/passwd", "WORKDIR /x", "USER app"} {
		in, _ := input(t, "FROM base\n"+rest+"\n", files)
		if _, err := assemble.Assemble(ctx, in); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the error is %v, want %v", rest, err, context.Canceled)
		}
	}
}

// TestChmodLibrary goes by what the tree has at a "RUN chmod".
func TestChmodLibrary(t *testing.T) {
	for rest, want := range map[string]string{
		"COPY a /lib/x.so\nRUN chmod 700 /x":                                       "not split: line 4: " + unknownShell,
		"RUN chmod 700 /x\nCOPY a /lib/x.so":                                       "",
		"COPY --link a /usr/lib/x.so.1\nRUN chmod 700 /x":                          "not split: line 4: " + unknownShell,
		"COPY a /etc/ld.so.preload\nRUN chmod 700 /x":                              "not split: line 4: " + unknownShell,
		"COPY a /lib/x.so\nCOPY --link a /lib\nRUN chmod 700 /x":                   "not split: line 5: " + unknownShell,
		"COPY d/l /lib\nCOPY --link a /lib\nRUN chmod 700 /x":                      "not split: line 5: " + unknownShell,
		"COPY d /usr/lib/d/\nRUN chmod 700 /x":                                     "not split: line 4: " + unknownShell,
		"COPY d/f /usr/lib/d/\nRUN chmod 700 /x":                                   "",
		"COPY a b /lib64/x.so/\nCOPY --link b /lib64/x.so\nRUN chmod 1 /x":         "not split: line 5: " + unknownShell,
		"COPY a /lib/x.so\nCOPY b /lib/x.so\nCOPY --link d /lib\nRUN chmod 700 /x": "not split: line 6: " + unknownShell,
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
