package service_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"kiln/internal/createoptions"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/podoptions"
	"kiln/internal/service"
)

// of is a service with that id, image and options.
func of(t *testing.T, id, image, line string, ports ...string) service.Service {
	t.Helper()
	options, err := createoptions.Parse(line, createoptions.Outside{})
	if err != nil {
		t.Fatal(err)
	}
	return service.Service{ID: id, Container: hook.Container{Image: image, PortMappings: ports}, Options: options}
}

// exposing is s with an image that exposes ports.
func exposing(s service.Service, ports ...string) service.Service {
	s.Image = &service.Image{Ports: service.ImagePorts(ports)}
	return s
}

// TestNames: ids come first, then options, then images.
func TestNames(t *testing.T) {
	for name, test := range map[string]struct {
		services []service.Service
		want     []service.Named
		warnings []string
	}{
		"ids": {
			[]service.Service{of(t, "psql-a", "postgres:16", ""), of(t, "psql-b", "postgres:16", "")},
			[]service.Named{
				{Container: "psql-a", Title: "psql-a", Hosts: []string{"psql-a", "postgres"}},
				{Container: "psql-b", Title: "psql-b", Hosts: []string{"psql-b"}},
			},
			nil,
		},
		"images": {
			[]service.Service{of(t, "", "ghcr.io:443/x/Redis:7@sha256:0", ""), of(t, "", "redis", "")},
			[]service.Named{
				{Container: "redis", Title: "Redis", Hosts: []string{"redis"}},
				{Container: "redis-2", Title: "redis"},
			},
			[]string{`services: "redis" is a name of two services and leads to the first of them; --network-alias in options gives one another name`},
		},
		"options": {
			[]service.Service{of(t, "a", "x/job", "--name mongo --hostname b --network-alias MONGO --network-alias c"), of(t, "b", "y", "--network-alias c")},
			[]service.Named{
				{Container: "a", Title: "a", Hosts: []string{"a", "mongo", "c", "job"}},
				{Container: "b", Title: "b", Hosts: []string{"b", "y"}},
			},
			[]string{
				`services: "b" is a name of two services and leads to the first of them; --network-alias in options gives one another name`,
				`services: "c" is a name of two services and leads to the first of them; --network-alias in options gives one another name`,
			},
		},
		"no name of a host": {
			[]service.Service{of(t, "my_db", "a_b", ""), of(t, "job", "___", "")},
			[]service.Named{{Container: "my-db", Title: "my_db"}, {Container: "job-2", Title: "job", Hosts: []string{"job"}}},
			[]string{
				`services: "my_db" of the service my_db is no name of a host on Kubernetes, which has letters, digits, - and . alone`,
				`services: "a_b" of the service my_db is no name of a host on Kubernetes, which has letters, digits, - and . alone`,
			},
		},
		"nothing to go by": {
			[]service.Service{of(t, "", "___", "")},
			[]service.Named{{Container: "service", Title: "___"}},
			[]string{`services: "___" of the service ___ is no name of a host on Kubernetes, which has letters, digits, - and . alone`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			named, warnings := service.Names(test.services, "job")
			if diff := cmp.Diff(test.want, named) + cmp.Diff(test.warnings, warnings); diff != "" {
				t.Errorf("Names (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNamesAreUnique: no two containers have one name, and no two services one host.
func TestNamesAreUnique(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"", "a", "A", "b", "a-2", "job", "x_y", strings.Repeat("l", 80)})
		var services []service.Service
		for range rapid.IntRange(1, 6).Draw(t, "services") {
			services = append(services, service.Service{
				ID: name.Draw(t, "id"), Container: hook.Container{Image: "r/" + name.Draw(t, "image")},
				Options: createoptions.Options{Name: name.Draw(t, "name"), Aliases: []string{name.Draw(t, "alias")}},
			})
		}
		named, _ := service.Names(services, "job")
		containers, hosts := map[string]bool{"job": true}, map[string]bool{}
		for i, n := range named {
			if containers[n.Container] || len(n.Container) > 63 {
				t.Fatalf("container %q of service %d", n.Container, i)
			}
			containers[n.Container] = true
			for _, host := range n.Hosts {
				if hosts[host] {
					t.Fatalf("%q leads to two services", host)
				}
				hosts[host] = true
			}
		}
	})
}

// TestAlone: those that would want one port get pods of their own.
func TestAlone(t *testing.T) {
	postgres := func(id string) service.Service { return exposing(of(t, id, "postgres:16", "", "5432"), "5432/tcp") }
	for name, test := range map[string]struct {
		services []service.Service
		beside   bool
		want     []bool
	}{
		"different":         {[]service.Service{postgres("a"), exposing(of(t, "r", "redis", ""), "6379/tcp")}, true, []bool{false, false}},
		"one image":         {[]service.Service{postgres("a"), postgres("b"), postgres("c")}, true, []bool{false, true, true}},
		"one declared port": {[]service.Service{of(t, "my", "mysql", "", "3306:3306"), of(t, "maria", "mariadb", "", "3307:3306")}, true, []bool{false, true}},
		"one exposed port":  {[]service.Service{exposing(of(t, "a", "a", ""), "80/tcp", "81"), exposing(of(t, "b", "b", ""), "81/tcp")}, false, []bool{false, true}},
		"another protocol":  {[]service.Service{of(t, "a", "a", "", "53/udp"), of(t, "b", "b", "", "53/tcp")}, true, []bool{false, false}},
		"published":         {[]service.Service{of(t, "a", "a", "-p 80:80"), of(t, "b", "b", "", "81:80")}, true, []bool{false, true}},
		"unknown, beside":   {[]service.Service{of(t, "a", "a", ""), of(t, "b", "b", "")}, true, []bool{false, false}},
		"unknown":           {[]service.Service{of(t, "a", "a", ""), exposing(of(t, "b", "b", ""))}, false, []bool{true, false}},
		"the agent's":       {[]service.Service{of(t, "a", "a", "", "8177:8177")}, true, []bool{true}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := service.Alone(test.services, test.beside, service.Port{Number: 8177, Protocol: service.TCP})
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("Alone: %v (-want +got):\n%s", err, diff)
			}
		})
	}
	if _, err := service.Alone([]service.Service{of(t, "a", "a", "", "x")}, true); failure.Of(err) != failure.BadRequest {
		t.Errorf("Alone of a bad port = %v", err)
	}
}

// TestMappings reads ports as Docker does.
func TestMappings(t *testing.T) {
	tcp := func(host, port uint16) service.Mapping {
		return service.Mapping{Host: host, Port: service.Port{Number: port, Protocol: service.TCP}}
	}
	for text, want := range map[string][]service.Mapping{
		"5432:5432":       {tcp(5432, 5432)},
		"6379":            {tcp(0, 6379)},
		"53:5353/UDP":     {{Host: 53, Port: service.Port{Number: 5353, Protocol: service.UDP}}},
		"127.0.0.1:1:2":   {tcp(1, 2)},
		"127.0.0.1::2":    {tcp(0, 2)},
		"[::1]:1:2/tcp":   {tcp(1, 2)},
		"localhost:1:2":   {tcp(1, 2)},
		"80-81:90-91":     {tcp(80, 90), tcp(81, 91)},
		"90-91":           {tcp(0, 90), tcp(0, 91)},
		"8000-8010:80":    {tcp(0, 80)},
		"65535:65535/tcp": {tcp(65535, 65535)},
	} {
		got, err := service.Mappings([]string{text})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Mappings(%q): %v (-want +got):\n%s", text, err, diff)
		}
	}
	for text, want := range map[string]string{
		"":            `ports: "" is not [HOST:]PORT[/PROTOCOL]`,
		"0":           `ports: "0" is not [HOST:]PORT[/PROTOCOL]`,
		"65536":       `ports: "65536" is not [HOST:]PORT[/PROTOCOL]`,
		"x:80":        `ports: "x:80" is not [HOST:]PORT[/PROTOCOL]`,
		"x:1:80":      `ports: "x:1:80" is not [HOST:]PORT[/PROTOCOL]`,
		"81-80":       `ports: "81-80" is not [HOST:]PORT[/PROTOCOL]`,
		"80/sctp":     `ports: "80/sctp": of protocols there are tcp and udp`,
		"1-3:1-2":     `ports: "1-3:1-2": the two ranges are not of one length`,
		"1-1000":      "ports: a service has more than the 100 ports that it can have here",
		"1-60000:1-2": `ports: "1-60000:1-2": the two ranges are not of one length`,
	} {
		if _, err := service.Mappings([]string{text}); err == nil || err.Error() != want {
			t.Errorf("Mappings(%q) = %v, want %s", text, err, want)
		}
	}
}

// TestCheck puts options over the image's health check, and that over Docker's defaults.
func TestCheck(t *testing.T) {
	image := &service.Image{Health: &service.ImageHealth{Test: []string{"CMD-SHELL", "test -e /up"}, Interval: 2 * time.Second, Retries: 7}}
	for name, test := range map[string]struct {
		line  string
		image *service.Image
		want  *service.Check
	}{
		"none":             {"", nil, nil},
		"an image without": {"", &service.Image{}, nil},
		"times alone":      {"--health-interval 1s", &service.Image{}, nil},
		"defaults": {"--health-cmd 'pg_isready -U x'", nil, &service.Check{
			Command: []string{"/bin/sh", "-c", "pg_isready -U x"}, Interval: 30 * time.Second, Timeout: 30 * time.Second, Retries: 3,
		}},
		"image": {"", image, &service.Check{
			Command: []string{"/bin/sh", "-c", "test -e /up"}, Interval: 2 * time.Second, Timeout: 30 * time.Second, Retries: 7,
		}},
		"times over the image's": {"--health-interval 5s --health-timeout 1s --health-start-period 9s --health-retries 2", image, &service.Check{
			Command: []string{"/bin/sh", "-c", "test -e /up"}, Interval: 5 * time.Second, Timeout: time.Second, StartPeriod: 9 * time.Second, Retries: 2,
		}},
		"another shell": {"--health-cmd x", &service.Image{Shell: []string{"/bin/bash", "-c"}}, &service.Check{
			Command: []string{"/bin/bash", "-c", "x"}, Interval: 30 * time.Second, Timeout: 30 * time.Second, Retries: 3,
		}},
		"no shell": {"", &service.Image{Health: &service.ImageHealth{Test: []string{"CMD", "/up", "-q"}}}, &service.Check{
			Command: []string{"/up", "-q"}, Interval: 30 * time.Second, Timeout: 30 * time.Second, Retries: 3,
		}},
		"NONE":         {"", &service.Image{Health: &service.ImageHealth{Test: []string{"NONE", "x"}}}, nil},
		"switched off": {"--no-healthcheck", image, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := of(t, "a", "a", test.line)
			s.Image = test.image
			if diff := cmp.Diff(test.want, s.Check()); diff != "" {
				t.Errorf("Check (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStateOf follows a service from its start.
func TestStateOf(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	check := &service.Check{Command: []string{"x"}, Interval: 10 * time.Second, Timeout: 5 * time.Second, StartPeriod: time.Second, Retries: 2}
	const patience = time.Second + 2*15*time.Second + 2*2*time.Second + 2*time.Second
	running := corev1.ContainerStatus{Name: "db", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(began)}}}
	ready := running
	ready.Ready = true
	ended := func(code int32, reason string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "db", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}}
	}
	for name, test := range map[string]struct {
		status corev1.ContainerStatus
		check  *service.Check
		after  time.Duration
		want   service.State
	}{
		"another container": {corev1.ContainerStatus{Name: "x"}, check, 0, service.State{}},
		"not started":       {corev1.ContainerStatus{Name: "db"}, nil, 0, service.State{}},
		"no check":          {running, nil, 2*time.Second - 1, service.State{Phase: service.Starting, Until: began.Add(2 * time.Second)}},
		"no check, runs":    {running, nil, 2 * time.Second, service.State{Phase: service.Ready}},
		"starting":          {running, check, patience - 1, service.State{Phase: service.Starting, Until: began.Add(patience)}},
		"late": {running, check, patience, service.State{
			Phase: service.Failed, Reason: "its health check has not passed within 37s (start period 1s, 2 retries every 10s of at most 5s)",
		}},
		"healthy":          {ready, check, 10 * patience, service.State{Phase: service.Ready}},
		"ended":            {ended(0, "Completed"), nil, 0, service.State{Phase: service.Ended, Reason: "it ended with exit code 0"}},
		"ended, unhealthy": {ended(1, "Error"), check, 0, service.State{Phase: service.Failed, Reason: "it ended with exit code 1"}},
		"out of memory": {ended(137, "OOMKilled"), nil, 0, service.State{
			Phase: service.Ended, Reason: "it ended with exit code 137 (OOMKilled: it needed more memory than it may have)",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{test.status}}}
			if diff := cmp.Diff(test.want, service.StateOf(pod, "db", test.check, began.Add(test.after))); diff != "" {
				t.Errorf("StateOf (-want +got):\n%s", diff)
			}
		})
	}
}

// TestVariableWithoutValue: Docker takes it out of the options and of the image.
func TestVariableWithoutValue(t *testing.T) {
	for name, tt := range map[string]struct {
		image *service.Image
		want  map[string]string
	}{
		"set by the image":     {&service.Image{Variables: []string{"OTHER", "X"}}, map[string]string{"X": ""}},
		"not set by the image": {&service.Image{Variables: []string{"OTHER"}}, map[string]string{}},
		"unknown":              {nil, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := of(t, "db", "postgres:16", "-e X=options")
			s.Container.EnvironmentVariables = hook.Environment{"X": ""}
			s.Image = tt.image
			env := s.Environment("")
			data, err := env.Data()
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, v := range env.Variables("s") {
				got[v.Name] = string(data[v.ValueFrom.SecretKeyRef.Key])
			}
			maps.Copy(tt.want, map[string]string{"CI": "true", "GITHUB_ACTIONS": "true"})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("environment (-want +got):\n%s", diff)
			}
		})
	}
}

// TestContainer is a service's container, whole.
func TestContainer(t *testing.T) {
	s := of(t, "db", "postgres:16", `-e A=options -e B=$(x) --health-cmd "test $(id -u)" --health-interval 100ms --health-timeout 100ms -w /x --user 5`)
	s.Container.EnvironmentVariables = hook.Environment{"A": "workflow", "EMPTY": "", "KUBERNETES_PORT": "mine"}
	s.Container.EntryPoint, s.Container.EntryPointArgs = "sh", []string{"-c", `"echo`, `$HOME"`, `""`}
	env := s.Environment("S01")
	data, err := env.Data()
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := s.Of(podoptions.Place{Name: "db", Work: "/w", Arch: "amd64"}, env, "secret")
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]string{}
	for _, v := range got.Env {
		set[v.Name] = v.Value
		if v.ValueFrom != nil {
			set[v.Name] = string(data[v.ValueFrom.SecretKeyRef.Key])
		}
	}
	wantEnv := map[string]string{
		"A": "workflow", "B": "$(x)", "CI": "true", "GITHUB_ACTIONS": "true", "KUBERNETES_PORT": "mine",
		"KUBERNETES_PORT_443_TCP": "", "KUBERNETES_PORT_443_TCP_ADDR": "", "KUBERNETES_PORT_443_TCP_PORT": "",
		"KUBERNETES_PORT_443_TCP_PROTO": "", "KUBERNETES_SERVICE_HOST": "", "KUBERNETES_SERVICE_PORT": "", "KUBERNETES_SERVICE_PORT_HTTPS": "",
	}
	if diff := cmp.Diff(wantEnv, set); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	got.Env = nil
	want := corev1.Container{
		Name: "db", Image: "postgres:16", WorkingDir: "/x", ImagePullPolicy: corev1.PullAlways,
		Command: []string{"sh"}, Args: []string{"-c", "echo $$HOME", ""},
		SecurityContext: &corev1.SecurityContext{RunAsUser: new(int64(5))},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/bin/sh", "-c", "test $$(id -u)"}}},
			PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 2, FailureThreshold: 1,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("container (-want +got):\n%s", diff)
	}
}

// TestCommand: with an entrypoint nothing is left of the image's command.
func TestCommand(t *testing.T) {
	for name, test := range map[string]struct {
		line          string
		args          []string
		command, want []string
		bad           bool
	}{
		"the image's":              {"", nil, nil, nil, false},
		"arguments":                {"", []string{"a", "b"}, nil, []string{"a", "b"}, false},
		"options":                  {"--entrypoint /x", []string{"a"}, []string{"/x"}, []string{"a"}, false},
		"reset":                    {`--entrypoint ""`, []string{"a", "b"}, []string{"a", "b"}, nil, false},
		"reset, and nothing to do": {`--entrypoint ""`, nil, nil, nil, true},
		"refused":                  {`--privileged`, nil, nil, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := of(t, "a", "a", test.line)
			s.Container.EntryPointArgs = test.args
			got, _, err := s.Of(podoptions.Place{Name: "a"}, s.Environment(""), "s")
			if (err != nil) != test.bad {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.command, got.Command) + cmp.Diff(test.want, got.Args); diff != "" {
				t.Errorf("command and arguments (-want +got):\n%s", diff)
			}
		})
	}
}
