package podlog

import (
	"strings"
	"testing"
	"time"
)

// stamped is a line at that many seconds.
func stamped(seconds float64, text string) string {
	return second(seconds).Format(time.RFC3339Nano) + " " + text + "\n"
}

// second is that many seconds after the start of time in these tests.
func second(seconds float64) time.Time {
	return time.Unix(1_700_000_000, 0).UTC().Add(time.Duration(seconds * float64(time.Second)))
}

func TestGap(t *testing.T) {
	tests := map[string]struct {
		streams []string
		lag     time.Duration // how old lines are when they are read
		begun   float64       // seconds at which the container started, if not 0
		want    string
	}{
		"one stream":               {[]string{stamped(0, "a") + stamped(100, "b")}, 0, 0, "a\nb\n"},
		"behind a silent program":  {[]string{stamped(0, "a") + stamped(8, "b")}, time.Minute, 0, "a\nb\n"},
		"behind, a file is gone":   {[]string{stamped(0, "a") + stamped(10, "b") + stamped(11, "c")}, 10 * time.Second, 0, "a\n?b\nc\n"},
		"streams that overlap":     {[]string{stamped(0, "a"), stamped(0, "a") + stamped(5, "b")}, 0, 0, "a\nb\n"},
		"rotated where it broke":   {[]string{stamped(0, "a"), stamped(0.5, "b")}, 0, 0, "a\nb\n"},
		"rotated while it broke":   {[]string{stamped(0, "a"), stamped(1, "b") + stamped(3, "c")}, 0, 0, "a\n?b\nc\n"},
		"the rest of a line":       {[]string{strings.TrimSuffix(stamped(0, "a"), "\n"), stamped(0, "ab") + stamped(5, "c")}, 0, 0, "ab\nc\n"},
		"an unfinished line after": {[]string{stamped(0, "a"), strings.TrimSuffix(stamped(5, "b"), "\n")}, 0, 0, "a\n?b"},
		"an unfinished line lost":  {[]string{strings.TrimSuffix(stamped(0, "a"), "\n"), stamped(5, "b")}, 0, 0, "a?b\n"},
		"a silent start":           {[]string{stamped(0, "a")}, -19 * time.Second, -20, "a\n"},
		"the beginning is gone":    {[]string{stamped(0, "a") + stamped(1, "b")}, 0, -10, "?a\nb\n"},
		"the beginning is there":   {[]string{stamped(0, "a")}, time.Minute, -1, "a\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			l := newLines(func(p []byte, _ Position) error {
				if p == nil {
					got.WriteByte('?')
				}
				got.Write(p)
				return nil
			})
			l.gap.now = func() time.Time { return l.at.Add(tt.lag) }
			if tt.begun != 0 {
				l.gap.begun = func() time.Time { return second(tt.begun) }
				l.gap.first = second(0).Add(tt.lag)
			}
			for i, stream := range tt.streams {
				if err := l.read(strings.NewReader(stream), i > 0); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.finish(); err != nil {
				t.Fatal(err)
			}
			if got.String() != tt.want {
				t.Errorf("got %q, want %q", got.String(), tt.want)
			}
		})
	}
}
