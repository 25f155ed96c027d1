//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/suite"
)

// litter is what code in the runner container may leave in the exchange: it
// has the rights of the shim, and in the official runner image those of root.
// The daemon may clear a part while another is made, so nothing here has to
// succeed.
const litter = `
cd /var/run/kiln
touch requests/file cancel/nobody tmp/file
mkfifo requests/pipe tmp/pipe
ln -s /etc/passwd requests/link
mkdir -p requests/aaaaaaaaaaaaaaaaaaaaaaaaaa/deep/er requests/empty tmp/empty
pipes=requests/bbbbbbbbbbbbbbbbbbbbbbbbbb
mkdir $pipes; mkfifo $pipes/request.json; ln -s /var/lib/kiln $pipes/context.tar
noise=requests/cccccccccccccccccccccccccc
mkdir $noise; touch $noise/lock
head -c 5000000 /dev/zero | tr '\0' '[' > $noise/request.json
head -c 1000000 /dev/urandom > $noise/context.tar
true
`

// TestHostileExchange fills the exchange with what no shim writes: steps go on
// beside it.
func TestHostileExchange(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "hostile", nil)
	if out, err := f.Run(t.Context(), "bash", "-c", litter); err != nil {
		t.Fatalf("litter the exchange: %v\n%s", err, out)
	}
	for _, ref := range []string{"v1", "v2"} {
		results := f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@" + ref}, nil)
		outcome.Success(t, results...)
	}
	log, err := f.DaemonLog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// What cannot be served or removed is worth a line, not a line each time.
	if n := strings.Count(log, "\n"); n > 40 {
		t.Errorf("the daemon wrote %d lines about two steps and some litter:\n%s", n, outcome.Tail(log))
	}
}
