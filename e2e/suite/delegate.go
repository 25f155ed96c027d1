package suite

import (
	"strings"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
)

// DelegateRoot is a runner's root for a delegate to be in, with a node; the hook of it is
// /k8s/index.js.
const DelegateRoot = WorkFolder + "/stock"

// DelegateFiles are a hook that nothing reads and a node that keeps the message and says
// how it was called. A message with the word slow takes it a minute.
func DelegateFiles() harness.Files {
	const node = `#!/bin/sh
echo "delegate: $(basename "$0") $*"
cat >` + DelegateRoot + `/message-$GITHUB_ACTION
if grep -q slow ` + DelegateRoot + `/message-$GITHUB_ACTION; then
	echo taking its time
	exec sleep 60
fi
exit 42
`
	return harness.Files{
		"stock/k8s/index.js":              {},
		"stock/externals/node20/bin/node": {Data: []byte(node), Mode: 0o755},
		"stock/externals/node24/bin/node": {Data: []byte("#!/bin/sh\necho another than of the runner\n"), Mode: 0o755},
	}
}

// WantDelegated fails the test unless the delegate, and nobody else, gets the step's
// message as the runner wrote it, and its exit code is the step's.
func (f *Fixture) WantDelegated(t *testing.T, s runner.Step, files harness.Files) {
	t.Helper()
	s.ID = strings.ReplaceAll(t.Name(), "/", "-")
	result := f.Play(t, s, files)
	if want := "delegate: node " + DelegateRoot + "/k8s/index.js\n"; result.Log != want || result.ExitCode != 42 {
		t.Errorf("exit code %d, log %q; want 42, %q", result.ExitCode, outcome.Tail(result.Log), want)
	}
	want := string(s.Raw)
	if s.Raw == nil {
		want = string(result.Message) + "\n"
	}
	got, err := f.Run(t.Context(), "cat", DelegateRoot+"/message-step-"+s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("the delegate read %d bytes, want the %d of the message:\n%s", len(got), len(want), outcome.Tail(got))
	}
}
