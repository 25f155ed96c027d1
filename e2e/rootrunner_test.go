//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/suite"
)

// takeNames makes the runner container the registry: by the files that it shares
// with kilnd, and by listening at the registry's port. It ends when somebody
// listens, and says whether it may open a packet socket. Run again, it says the same.
const takeNames = `
test -e /tmp/said || (
printf '127.0.0.1 %s\n' "$1" >> /etc/hosts && echo 'nameserver 127.0.0.1' > /etc/resolv.conf && echo rewrote
exec perl -MIO::Socket::INET -e '
	print socket(my $raw, 17, 3, 768) ? "packet socket open\n" : "packet socket: $!\n";
	my $server = IO::Socket::INET->new(Listen => 5, LocalPort => $ARGV[0], ReuseAddr => 1) or die $@;
	open my $heard, ">", $ARGV[1] or die $!;
	exit if fork;
	open STDOUT, ">", "/dev/null"; open STDERR, ">", "/dev/null"; open STDIN, "<", "/dev/null";
	while (my $client = $server->accept) { sysread $client, my $text, 65536; syswrite $heard, $text; close $client }
' "$2" /tmp/heard
) >/tmp/said || exit
cat /tmp/said`

// TestRootRunner has root in the runner container rewrite the names that kilnd
// goes by, listen for what it sends, and open a packet socket. Steps go on, and
// nothing is heard.
func TestRootRunner(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "rootrunner", func(s suite.Stage, o *harness.PodOptions) {
		suite.AuthRegistry(t, harness.PullSecret)(s, o)
		o.Adjust = func(pod *corev1.Pod) {
			runner := &pod.Spec.Containers[0]
			runner.SecurityContext.RunAsUser = new(int64(0))
		}
	})
	host, port, _ := strings.Cut(f.AuthRegistry, ":")
	said := inRunner(t, f, "bash", "-c", takeNames, "bash", host, port)
	if !strings.Contains(said, "rewrote\n") || !strings.Contains(said, "packet socket: Operation not permitted\n") {
		t.Errorf("root in the runner container: %q", said)
	}
	outcome.Success(t, f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)...)
	if heard := inRunner(t, f, "cat", "/tmp/heard"); heard != "" {
		t.Errorf("the runner container heard %d bytes for the registry:\n%.200q", len(heard), heard)
	}
	f.WantNothingLeft(t)
}

// inRunner runs a command in the runner container and returns what it prints.
func inRunner(t *testing.T, f *suite.Fixture, command ...string) string {
	t.Helper()
	said, err := f.Run(t.Context(), command...)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return said
}
