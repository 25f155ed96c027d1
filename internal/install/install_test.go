package install

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Everything but --install is the worker's, in its order.
func TestDestination(t *testing.T) {
	dir, rest := Destination([]string{"--log-level=debug", "--install=/opt/kiln", "--tag", "random"})
	if diff := cmp.Diff([]string{"--log-level=debug", "--tag", "random"}, rest); diff != "" || dir != "/opt/kiln" {
		t.Errorf("to %q, and the worker's arguments differ (-want +got):\n%s", dir, diff)
	}
}
