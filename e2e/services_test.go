//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
)

// server answers each TCP connection at its port with its name, and is healthy (the
// file /up) a second after its start.
const server = `my ($port, $name) = @ARGV; $| = 1; print "$name started with $ENV{PASSWORD}\n"; ` +
	`my $s = IO::Socket::INET->new(Listen => 9, LocalPort => $port, ReuseAddr => 1) or die $!; ` +
	`sleep 1; open(my $up, ">", "/up"); while (my $c = $s->accept) { print $c "$name\n"; close $c }`

// client prints what a server says.
const client = `perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1], Timeout => 10) or die "$!\n"; print <$s>' `

// serverOf is a service that answers at port with name.
func serverOf(name, port, options string, ports ...string) runner.Service {
	return runner.Service{
		Container: runner.Container{
			Image: "debian:bookworm-slim", Ports: ports, Env: map[string]string{"PASSWORD": "of-" + name},
			Options: "--network-alias " + name + " " + options,
		},
		EntryPoint: "perl", Command: []string{"-MIO::Socket::INET", "-e", server, port, name},
	}
}

// healthy is a health check as authors write it, in a folded block.
const healthy = "--health-cmd \"test -e /up\" --health-interval 2s --health-timeout 5s --health-retries 10\n"

// TestServicesBesideContainer: by name, two of one image at one port, waited for, and
// with their logs at the end.
func TestServicesBesideContainer(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "services", nil)
	job := debianJob()
	job.Services = []runner.Service{serverOf("psql-a", "5432", healthy+"--tmpfs /data"), serverOf("psql-b", "5432", healthy)}
	j := f.Prepare(t, job, nil)
	outcome.OwnLog(t, j.Run(t, client+"psql-a 5432\n"+client+"psql-b 5432\n"+client+"localhost 5432\n"), "psql-a\npsql-b\npsql-a\n")
	if len(j.Response.Services) != 2 || j.Response.Services[0].ID == "" || j.Response.Services[0].Network == "" {
		t.Errorf("job.services is %+v", j.Response.Services)
	}
	outcome.Log(t, j.End(t), "Print service container logs: psql-a", "psql-a started with of-psql-a", "psql-b started with of-psql-b")
	f.WantNothingLeft(t)
}

// TestServicesOfRunner: a job without a container reaches its services at localhost.
func TestServicesOfRunner(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "services-runner", nil)
	job := runner.Job{Externals: externals, Services: []runner.Service{
		serverOf("mysql", "3306", healthy, "13306:3306"), serverOf("mariadb", "3306", healthy, "13307:3306"), serverOf("cache", "6379", "", "6379"),
	}}
	j := f.Prepare(t, job, nil)
	for i, name := range []string{"mysql", "mariadb", "cache"} {
		port := j.Response.Services[i].Ports[job.Services[i].Command[3]]
		for _, host := range []string{"localhost", "127.0.0.1"} {
			got, err := f.Run(t.Context(), "sh", "-c", client+host+" "+port)
			if err != nil || strings.TrimSpace(got) != name {
				t.Errorf("%s at %s:%s says %q, %v", name, host, port, got, err)
			}
		}
	}
	j.End(t)
	f.WantNothingLeft(t)
}

// TestServicesThatFail: the job fails where it begins, and says why.
func TestServicesThatFail(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "services-fail", nil)
	for name, tt := range map[string]struct {
		options string
		texts   []string
	}{
		"never healthy": {`--health-cmd "test -e /never" --health-interval 1s --health-timeout 1s --health-retries 2`, []string{"the service db", "its health check has not passed"}},
		"no rights":     {"--privileged", []string{"options: --privileged: not allowed here", "KILN_JOB_RIGHTS"}},
		"no such thing": {"--link x", []string{"options: --link has no counterpart on Kubernetes"}},
	} {
		t.Run(name, func(t *testing.T) {
			job := debianJob()
			job.Services = []runner.Service{serverOf("db", "5432", tt.options+" --name db")}
			j, result := f.TryPrepare(t, job, nil)
			outcome.Error(t, result, tt.texts...)
			j.End(t)
		})
	}
	f.WantNothingLeft(t)
}
