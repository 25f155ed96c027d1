package harness

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestEventually(t *testing.T) {
	notYet := errors.New("not yet")
	tests := map[string]struct {
		after      time.Duration // the answer is nil
		cutOff     bool          // an answer takes until the time is up
		took       time.Duration
		want, less string
	}{
		"at once":  {},
		"later":    {after: 3 * time.Second, took: 3 * time.Second},
		"too late": {after: time.Hour, took: 10 * time.Second, want: "within 10s: not yet"},
		"cut off":  {after: time.Hour, cutOff: true, took: 10 * time.Second, want: "within 10s: not yet", less: "deadline"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := Eventually(t.Context(), 10*time.Second, func(ctx context.Context) error {
					switch passed := time.Since(began); {
					case passed >= tt.after:
						return nil
					case tt.cutOff && passed > 0:
						<-ctx.Done()
						return ctx.Err()
					default:
						return notYet
					}
				})
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
					t.Errorf("Eventually = %v, want %q", err, tt.want)
				}
				if tt.less != "" && strings.Contains(err.Error(), tt.less) {
					t.Errorf("Eventually = %v, which has %q", err, tt.less)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
			})
		})
	}
}
