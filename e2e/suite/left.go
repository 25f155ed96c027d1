package suite

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// WantNothingLeft fails the test if steps that have ended left something in the namespace
// or in the exchange.
func (f *Fixture) WantNothingLeft(t *testing.T) {
	t.Helper()
	// On a busy node the kubelet takes several of its rounds of ten seconds to
	// report that a pod is gone. How soon pods end is TestCancelPhases's.
	left, err := f.Leftovers(t.Context(), f.Namespace, time.Minute)
	if err != nil {
		t.Error(err)
	}
	if len(left) > 0 {
		t.Errorf("left in the namespace: %v", left)
	}
	f.WantEmptyExchange(t)
}

// WantEmptyExchange fails the test if something is left in the exchange: the daemon clears
// its side after the shim has left.
func (f *Fixture) WantEmptyExchange(t *testing.T) {
	t.Helper()
	f.Eventually(t, 10*time.Second, func(ctx context.Context) error {
		left, err := f.Exchange(ctx)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("left in the exchange: %v", left)
		}
		return err
	})
}
