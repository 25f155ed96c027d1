//go:build e2e

package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// server answers each TCP connection at its port with its name, and is healthy (the
// file /up) a second after its start.
const server = `my ($port, $name) = @ARGV; $| = 1; printf "$name started with a password that ends in %s\n", substr $ENV{PASSWORD}, -4; ` +
	`my $s = IO::Socket::INET->new(Listen => 9, LocalPort => $port, ReuseAddr => 1) or die $!; ` +
	`sleep 1; open(my $up, ">", "/up"); while (my $c = $s->accept) { print $c "$name\n"; close $c }`

// datagramServer answers each datagram at its port with its name and what it was sent.
const datagramServer = `my ($port, $name) = @ARGV; my $s = IO::Socket::INET->new(Proto => "udp", LocalPort => $port) or die $!; ` +
	`while (defined(my $from = $s->recv(my $text, 99))) { $s->send("$name $text", 0, $from) }`

// echoServer answers each line at its port with its name and the line.
const echoServer = `my ($port, $name) = @ARGV; my $s = IO::Socket::INET->new(Listen => 9, LocalPort => $port, ReuseAddr => 1) or die $!; ` +
	`while (my $c = $s->accept) { $c->autoflush(1); print $c "$name $_" while <$c> }`

// talker holds a connection open to a port at localhost: it has a line answered, makes the
// file /tmp/talking, and has another one answered when there is /tmp/talk.
const talker = `perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]") or die "$!\n"; $s->autoflush(1); ` +
	`print $s "one\n"; print scalar <$s>; open(my $talking, ">", "/tmp/talking"); until (-e "/tmp/talk") { select undef, undef, undef, 0.1 } ` +
	`print $s "two\n"; print scalar <$s>' `

// client prints what a server says, by either address family.
const client = `perl -MIO::Socket::IP -e 'my $s = IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => $ARGV[1], Timeout => 10) or die "$!\n"; print <$s>' `

// datagramClient asks once a second until a server of datagrams answers, and prints that.
const datagramClient = `perl -MIO::Socket::IP -MIO::Select -e 'my $s = IO::Socket::IP->new(Proto => "udp", PeerHost => $ARGV[0], PeerPort => $ARGV[1]) or die "$!\n"; ` +
	`for (1 .. 10) { $s->send("hello"); next unless IO::Select->new($s)->can_read(1); defined $s->recv(my $text, 99) or next; print $text; exit } die "no answer\n"' `

// password is what services have as a secret, with their names behind it.
const password = "hidden-in-all-that-is-seen-"

// serverOf is a service that answers at port with name.
func serverOf(name, port, options string, ports ...string) runner.Service {
	return runner.Service{
		Container: runner.Container{
			Image: "debian:bookworm-slim", Ports: ports, Env: map[string]string{"PASSWORD": password + name},
			Options: "--network-alias " + name + " " + options,
		},
		EntryPoint: "perl", Command: []string{"-MIO::Socket::INET", "-e", server, port, name},
	}
}

// healthy is a health check as authors write it, in a folded block.
const healthy = "--health-cmd \"test -e /up\" --health-interval 2s --health-timeout 5s --health-retries 10\n"

// reaching is a service's health check that connects to others, HOST:PORT, as well.
func reaching(others ...string) string {
	const up = "test -e /up"
	command := up
	for _, other := range others {
		command += " && perl -MIO::Socket::INET -e 'IO::Socket::INET->new(shift) or exit 1' " + other
	}
	return strings.Replace(healthy, up, command, 1)
}

// TestServicesBesideContainer: by name, two of one image at one port, which reach each
// other too, waited for, and with their logs at the end.
func TestServicesBesideContainer(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "services", nil)
	noteServices(t, f, "db-1", "", "db-2", "checked", "over")
	job := debianJob()
	job.Container.Volumes = []string{"shared:/shared"}
	over := serverOf("over", "1", "")
	over.EntryPoint, over.Command = "sh", []string{"-c", `printf "<%s>" "$0" "$@"; echo the last words; exit 3`, "zero", "two words", ""}
	job.Services = []runner.Service{
		serverOf("psql-a", "5432", reaching("db-2:5432")+"--tmpfs /data"), serverOf("psql-b", "5432", reaching("db-1:5432", "psql-b:5432")+"--name second --hostname other.host"), checkedByImage(t, f), over,
	}
	j, began := f.TryPrepare(t, job, nil)
	outcome.Success(t, began)
	outcome.Log(t, began, "<zero><two words><>the last words", "::warning::kiln: the service over does not run any more: it ended with exit code 3")
	for name, run := range map[string]func(*testing.T, *suite.Fixture, *suite.Job){
		"names":            servicesByName,
		"container action": servicesForActions,
		"image's check": func(t *testing.T, _ *suite.Fixture, j *suite.Job) {
			outcome.OwnLog(t, j.Run(t, "cat /shared/up /shared/of\n"), "up\n[]\n")
		},
		"no secret in sight": func(t *testing.T, f *suite.Fixture, _ *suite.Job) { passwordUnseen(t, f, began) },
	} {
		t.Run(name, func(t *testing.T) { run(t, f, j) })
	}
	if len(j.Response.Services) != 4 || j.Response.Services[0].ID == "" || j.Response.Services[0].Network == "" {
		t.Errorf("job.services is %+v", j.Response.Services)
	}
	outcome.Log(t, j.End(t), "Print service container logs: db-1", "psql-a started with a password that ends in ql-a", "psql-b started with a password that ends in ql-b")
	f.WantNothingLeft(t)
}

// noteServices has the runner's worker log a job with services of those names, as the
// workflow has them. One without a name is one of which the image is empty: the worker
// does not start it.
func noteServices(t *testing.T, f *suite.Fixture, names ...string) {
	t.Helper()
	type entry struct {
		Key   any
		Value any
	}
	mapping := func(entries ...entry) any { return map[string]any{"type": 2, "map": entries} }
	var services []entry
	for _, name := range names {
		image := "debian"
		if name == "" {
			name, image = "left-out", ""
		}
		services = append(services, entry{name, mapping(entry{"image", image})})
	}
	message, err := json.Marshal(map[string]any{"jobServiceContainers": mapping(services...)})
	if err != nil {
		t.Fatal(err)
	}
	const write = `mkdir -p "$1" && printf '[2026-11-28 10:00:01Z INFO Worker] Job message:\n %s\n[2026-11-28 10:00:02Z INFO JobRunner] on\n' "$2" >"$1/Worker_20261128-100000-utc.log"`
	if _, err := f.Run(t.Context(), "sh", "-c", write, "sh", "/tmp/_diag", string(message)); err != nil {
		t.Fatal(err)
	}
}

// checkedByImage is a service that is well some seconds after its start, which its
// image's health check sees and nothing else says. The workflow has a variable of the
// image without a value.
func checkedByImage(t *testing.T, f *suite.Fixture) runner.Service {
	t.Helper()
	image := f.Image(t, v1.Config{
		Env:         []string{busyboxPath, "OF_IMAGE=set"},
		Entrypoint:  []string{"sh", "-c", "sleep 5; echo [$OF_IMAGE] >/shared/of; echo up >/shared/up; sleep 600"},
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD-SHELL", "test -e /shared/up"}, Interval: time.Second, Retries: 30},
	})
	return runner.Service{Container: runner.Container{Image: image, Volumes: []string{"shared:/shared"}, Env: map[string]string{"OF_IMAGE": ""}}}
}

// servicesByName: under the workflow's names, and those of options, each with all of its
// ports; the service that the worker leaves out has not moved the names of others.
func servicesByName(t *testing.T, _ *suite.Fixture, j *suite.Job) {
	outcome.OwnLog(t, j.Run(t, client+"db-1 5432\n"+client+"psql-a 5432\n"+client+"db-2 5432\n"+client+"psql-b 5432\n"+client+"second 5432\n"+client+"other.host 5432\n"+client+"localhost 5432\n"),
		"psql-a\npsql-a\npsql-b\npsql-b\npsql-b\npsql-b\npsql-a\n")
}

// servicesForActions: actions of an image and of a Dockerfile find the services, and the
// workspace is one for them and the job container.
func servicesForActions(t *testing.T, _ *suite.Fixture, j *suite.Job) {
	outcome.Success(t, j.Run(t, "echo of the job >of-job\n"))
	const both = client + "db-1 5432; " + client + "psql-b 5432; cat of-job; echo of the action >>of-action"
	outcome.OwnLog(t, j.Play(t, sample.Shell("debian:bookworm-slim", both), nil), "psql-a\npsql-b\nof the job\n")
	step, files := sample.Build("app", "FROM debian:bookworm-slim\nENTRYPOINT [\"/bin/sh\", \"-c\", \"eval \\\"$SCRIPT\\\"\"]\n")
	step.Repository, step.Env = "acme/app", map[string]string{"SCRIPT": both}
	result := j.Play(t, step, files)
	outcome.Success(t, result)
	outcome.Lines(t, result, "psql-a", "psql-b", "of the job")
	outcome.OwnLog(t, j.Run(t, "cat of-action\n"), "of the action\nof the action\n")
}

// passwordUnseen: what a workflow gives a service as a secret stands in no pod, no event
// and no log but the service's own.
func passwordUnseen(t *testing.T, f *suite.Fixture, began *harness.Result) {
	for _, s := range f.Seen.Sightings() {
		if pod, err := json.Marshal(s.Pod); err != nil || strings.Contains(string(pod), password) {
			t.Errorf("the pod %s has the password, or %v", s.Pod.Name, err)
		}
	}
	events, err := f.Kube.CoreV1().Events(f.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(events.Items) == 0 {
		t.Fatalf("%d events, %v", len(events.Items), err)
	}
	if text, err := json.Marshal(events); err != nil || strings.Contains(string(text), password) {
		t.Errorf("an event has the password, or %v", err)
	}
	daemon, err := f.Kube.CoreV1().Pods(f.Namespace).GetLogs(f.Pod, &corev1.PodLogOptions{Container: harness.DaemonContainer}).DoRaw(t.Context())
	if err != nil || len(daemon) == 0 {
		t.Fatalf("the daemon's log has %d bytes, %v", len(daemon), err)
	}
	for name, log := range map[string]string{"the daemon": string(daemon), "the step": began.Log} {
		if strings.Contains(log, password) {
			t.Errorf("the log of %s has the password", name)
		}
	}
}

// TestServicesOfRunner: a job without a container reaches its services at localhost, and
// each of them the others by name, whichever have pods of their own. A connection goes on
// when the daemon's worker is killed.
func TestServicesOfRunner(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "services-runner", func(_ suite.Stage, o *harness.PodOptions) { o.ShareProcesses = true })
	job := runner.Job{Externals: externals, Services: []runner.Service{
		serverOf("mysql", "3306", reaching("mariadb:3306", "percona:3306"), "13306:3306"),
		serverOf("mariadb", "3306", reaching("mysql:3306", "percona:3306", "cache:6379"), "13307:3306"),
		serverOf("cache", "6379", "", "6379"),
		serverOf("percona", "3306", reaching("mysql:3306", "mariadb:3306", "cache:6379"), "13308:3306"),
	}}
	// It is reached at its own name alone, as Kafka may be.
	job.Services[2].Command[2] = strings.Replace(server, "LocalPort =>", "LocalAddr => $name, LocalPort =>", 1)
	datagrams := serverOf("dns", "5353", "", "15353:5353/udp")
	datagrams.Command[2] = datagramServer
	talking := serverOf("echo", "7007", "", "7007")
	talking.Command[2] = echoServer
	job.Services = append(job.Services, datagrams, talking)
	j := f.Prepare(t, job, nil)
	for i, name := range []string{"mysql", "mariadb", "cache", "percona"} {
		port := j.Response.Services[i].Ports[job.Services[i].Command[3]]
		for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
			got, err := f.Run(t.Context(), "sh", "-c", client+host+" "+port)
			if err != nil || strings.TrimSpace(got) != name {
				t.Errorf("%s at %s:%s says %q, %v", name, host, port, got, err)
			}
		}
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		got, err := f.Run(t.Context(), "sh", "-c", datagramClient+host+" "+j.Response.Services[4].Ports["5353"])
		if err != nil || got != "dns hello" {
			t.Errorf("dns at %s says %q, %v", host, got, err)
		}
	}
	talkOverRestart(t, f, j.Response.Services[5].Ports["7007"])
	j.End(t)
	if _, err := f.Run(t.Context(), "sh", "-c", client+"127.0.0.1 13306"); err == nil {
		t.Error("the ports are open after the job")
	}
	f.WantNothingLeft(t)
}

// talkOverRestart kills the worker under a connection to a service, and has the next one
// run an action before the connection is used again.
func talkOverRestart(t *testing.T, f *suite.Fixture, port string) {
	t.Helper()
	type end struct {
		said string
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		said, err := f.Run(t.Context(), "sh", "-c", talker+port)
		ended <- end{said, err}
	}()
	if _, err := f.Run(t.Context(), "sh", "-c", "until test -e /tmp/talking; do sleep 0.1; done"); err != nil {
		t.Fatal(err)
	}
	if err := f.SignalDaemon(t.Context(), harness.Worker, "KILL"); err != nil {
		t.Fatal(err)
	}
	outcome.Success(t, f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)...)
	if _, err := f.Run(t.Context(), "touch", "/tmp/talk"); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got.err != nil || got.said != "echo one\necho two\n" {
		t.Errorf("the connection said %q, %v", got.said, got.err)
	}
}

// TestServicesThatFail: the job fails where it begins, and says why.
func TestServicesThatFail(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "services-fail", nil)
	for name, tt := range map[string]struct {
		options string
		volumes []string
		texts   []string
	}{
		"never healthy": {`--health-cmd "test -e /never" --health-interval 1s --health-timeout 1s --health-retries 2`, nil, []string{"the service db", "its health check has not passed"}},
		"no rights":     {"--privileged", nil, []string{"options: --privileged: not allowed here", "KILN_JOB_RIGHTS"}},
		"no such thing": {"--link x", nil, []string{"options: --link has no counterpart on Kubernetes"}},
		"no Docker":     {"", []string{"/var/run/docker.sock:/var/run/docker.sock"}, []string{"/var/run/docker.sock: there is no Docker daemon here"}},
	} {
		t.Run(name, func(t *testing.T) {
			job := debianJob()
			job.Services = []runner.Service{serverOf("db", "5432", tt.options+" --name db")}
			job.Services[0].Volumes = tt.volumes
			job.Services = append(job.Services, serverOf("beside", "6379", ""))
			j, result := f.TryPrepare(t, job, nil)
			outcome.Error(t, result, tt.texts...)
			if name == "never healthy" { // the others have begun nothing
				outcome.Log(t, result, "::group::Service container db\n", "db started", "::group::Print service container logs: beside\n", "beside started")
			}
			j.End(t)
		})
	}
	f.WantNothingLeft(t)
}
