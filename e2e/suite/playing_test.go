package suite

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

func TestLiveLog(t *testing.T) {
	tests := map[string]struct {
		writes []string
		end    bool
		cancel bool
		want   string // "" is no error, "…" waits on
	}{
		"there":               {writes: []string{"one\n", "two\n"}, end: true},
		"in two pieces":       {writes: []string{"one\nt", "wo\n"}},
		"ended without":       {writes: []string{"one\n"}, end: true, want: `it ended without "two\n"`},
		"the test is over":    {writes: []string{"one\n"}, cancel: true, want: "context canceled"},
		"neither there, goes": {writes: []string{"one\n"}, want: "…"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewLiveLog()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var err error
				returned := false
				go func() {
					err = l.Await(ctx, "two\n")
					returned = true
				}()
				synctest.Wait()
				for _, text := range tt.writes {
					if _, err := l.Write([]byte(text)); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				if tt.end {
					l.End()
				}
				if tt.cancel {
					cancel()
				}
				synctest.Wait()
				if tt.want == "…" {
					if returned {
						t.Errorf("Await = %v, want none yet", err)
					}
					return
				}
				if !returned || (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Await returned: %v, with %v; want %q", returned, err, tt.want)
				}
				if tt.cancel && !errors.Is(err, context.Canceled) {
					t.Errorf("Await = %v, want the context's error", err)
				}
				if got, want := l.String(), strings.Join(tt.writes, ""); got != want {
					t.Errorf("String = %q, want %q", got, want)
				}
			})
		})
	}
}
