package servicerun_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/job"
	"kiln/internal/jobrun"
	"kiln/internal/podtest"
	"kiln/internal/registry"
	"kiln/internal/runnerpod"
	"kiln/internal/servicerun"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// stage is one runner beside a cluster.
type stage struct {
	t        *testing.T
	cluster  *podtest.Cluster
	state    *spool.State
	log      strings.Builder
	options  servicerun.Options
	images   jobrun.Images
	services *servicerun.Runner
	jobs     *jobrun.Runner
}

// newStage makes the cluster; life is what happens in each pod.
func newStage(t *testing.T, life func(*podtest.Life)) *stage {
	t.Helper()
	s := &stage{t: t, cluster: podtest.New(t, "ci")}
	s.cluster.Run = life
	var err error
	if s.state, err = spool.OpenState(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	s.options = servicerun.Options{Pods: s.cluster.Client(t, nil), State: s.state, PendingTimeout: 2 * time.Minute}
	s.again()
	return s
}

// again is a daemon that starts anew.
func (s *stage) again() {
	s.t.Helper()
	s.services = servicerun.New(s.options)
	s.t.Cleanup(s.services.Close)
	var err error
	s.jobs, err = jobrun.New(jobrun.Options{
		Pods: s.cluster.Client(s.t, nil), State: s.state, Namespace: "ci", PendingTimeout: 2 * time.Minute, Services: s.services,
		Template: s.options.Template, Images: s.images,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// call is a call with that id.
func (s *stage) call(id string) jobrun.Call {
	self := runnerpod.Self{Name: "runner-1", UID: "runner-uid", NodeName: podtest.Node, Claim: "work", WorkMount: "/home/runner/_work"}
	return jobrun.Call{ID: id, Runner: self, Log: steplog.New(&s.log, "", true), Times: steplog.NewTimes(nil), Logger: zap.NewNop()}
}

// prepare prepares a job whose services have those names, and returns what the runner
// reads.
func (s *stage) prepare(asked hook.Job, names ...string) (job.Response, error) {
	s.t.Helper()
	shim := &spool.Job{Dir: strings.Repeat("0a", 16), Services: names}
	text, err := s.jobs.Prepare(s.t.Context(), s.call("request-1"), asked, shim)
	if err != nil {
		return job.Response{}, err
	}
	var response job.Response
	if err := json.Unmarshal(text, &response); err != nil {
		s.t.Fatal(err)
	}
	return response, nil
}

// left is what the cluster holds, by kind.
func (s *stage) left() string {
	var kinds []string
	for _, name := range s.cluster.Names() {
		kind, _, _ := strings.Cut(name, "/")
		kinds = append(kinds, kind)
	}
	return strings.Join(kinds, " ")
}

// debian is a job whose only container is one of Debian.
func debian() hook.Job {
	return hook.Job{Container: &hook.JobContainer{Container: hook.Container{Image: "debian:12"}}}
}

// with is a job with a container of Debian and services.
func with(services ...hook.JobContainer) hook.Job {
	asked := debian()
	asked.Services = services
	return asked
}

// serviceOf is a service with that image, options and ports.
func serviceOf(image, options string, ports ...string) hook.JobContainer {
	return hook.JobContainer{Container: hook.Container{Image: image, CreateOptions: options, PortMappings: ports}}
}

// images are what registries say, by reference, and who asked with which user.
type images struct {
	serving map[string]registry.Serving
	users   map[string]string
}

func (r images) Serving(_ context.Context, reference, _ string, login *authn.AuthConfig) (registry.Serving, error) {
	if want := r.users[reference]; want != "" && (login == nil || login.Username != want) {
		return registry.Serving{}, errors.New("denied")
	}
	serving, known := r.serving[reference]
	if !known {
		return registry.Serving{}, errors.New("unknown")
	}
	return serving, nil
}

func (r images) FilesWith(_ context.Context, reference, _ string, login *authn.AuthConfig, _ ...string) (map[string]string, error) {
	if want := r.users[reference]; want != "" && (login == nil || login.Username != want) {
		return nil, errors.New("denied")
	}
	return map[string]string{"etc/passwd": "postgres:x:70:70::/:/bin/sh\n", "etc/group": "staff:x:50:\n"}, nil
}

// containersOf are the names of a pod's containers.
func containersOf(pod *corev1.Pod) []string {
	var names []string
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	return names
}

// setReady says whether a container passes its readiness probe.
func setReady(life *podtest.Life, container string, ready bool) {
	life.Change(func(pod *corev1.Pod) {
		for i := range pod.Status.ContainerStatuses {
			if s := &pod.Status.ContainerStatuses[i]; s.Name == container {
				s.Ready = ready
			}
		}
	})
}

// serves starts all containers, gets "db" healthy after a while, and runs until it is
// deleted.
func serves(healthy time.Duration) func(*podtest.Life) {
	return func(life *podtest.Life) {
		names := containersOf(life.Pod())
		life.Start(names...)
		for _, name := range names {
			life.Print(name, name+" says ::error::no\n")
		}
		if slices.Contains(names, "db") && life.Wait(healthy) {
			setReady(life, "db", true)
		}
		takeNames(life, 0)
		<-life.Deleted()
		for _, name := range names {
			life.Exit(name, 0)
		}
	}
}

// itself is in the place of a pod's own address.
const itself = "the pod's"

// hosts are the entries for /etc/hosts of a pod.
func hosts(pod *corev1.Pod) map[string]string {
	found := map[string]string{}
	if pod.Spec.Hostname != "" {
		found[pod.Spec.Hostname] = itself
	}
	for _, alias := range pod.Spec.HostAliases {
		found[strings.Join(alias.Hostnames, " ")] = alias.IP
	}
	return found
}

// TestServicesBeside: services share the job's pod, the job waits for their health,
// and their logs come at its end.
func TestServicesBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, serves(10*time.Second))
		asked := with(
			serviceOf("postgres:16", "--health-cmd pg_isready --health-interval 10s --network-alias sql", "5432:5432"),
			serviceOf("redis", "--pids-limit 5 --ulimit nofile=5"),
		)
		asked.Services[0].Container.EnvironmentVariables = hook.Environment{"POSTGRES_PASSWORD": "hunter2"}
		response, err := s.prepare(asked, "db", "cache")
		if err != nil {
			t.Fatal(err)
		}
		pods := s.cluster.Pods()
		if len(pods) != 1 {
			t.Fatalf("the cluster has %v", s.cluster.Names())
		}
		pod := pods[0]
		if diff := cmp.Diff([]string{"job", "db", "cache"}, containersOf(pod)); diff != "" {
			t.Errorf("containers (-want +got):\n%s", diff)
		}
		wantHosts := map[string]string{"db": "127.0.0.1", "sql": "127.0.0.1", "postgres": "127.0.0.1", "cache": "127.0.0.1", "redis": "127.0.0.1"}
		if diff := cmp.Diff(wantHosts, hosts(pod)); diff != "" {
			t.Errorf("hosts (-want +got):\n%s", diff)
		}
		if strings.Contains(fmt.Sprint(pod), "hunter2") || pod.Spec.Containers[1].ReadinessProbe == nil {
			t.Errorf("the container is %+v", pod.Spec.Containers[1])
		}
		wantServices := []job.Service{
			{ID: pod.Name + "/db", Network: pod.Name, Ports: map[string]string{"5432": "5432"}},
			{ID: pod.Name + "/cache", Network: pod.Name, Ports: map[string]string{}},
		}
		if diff := cmp.Diff(wantServices, response.Context.Services); diff != "" {
			t.Errorf("services (-want +got):\n%s", diff)
		}
		for _, want := range []string{
			"kiln: service db: image postgres:16\n", "kiln: the service cache is ready (2s)\n",
			"kiln: waiting for the health checks of db, 3s\n", "kiln: the service db is ready (10s)\n",
			"::warning::kiln: options: --pids-limit: no effect on Kubernetes\n",
			"::warning::kiln: the service cache: options: --ulimit: no effect on a service on Kubernetes\n",
		} {
			if !strings.Contains(s.log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, s.log.String())
			}
		}
		s.log.Reset()
		found, err := s.services.Hosts()
		if err != nil || len(found) != 5 || found[0].IP != podtest.IP {
			t.Errorf("Hosts = %v, %v", found, err)
		}
		s.jobs.Cleanup(t.Context(), s.call("request-2"))
		for _, want := range []string{"::group::Print service container logs: db\n", "db says", "logs: cache\n", "::stop-commands::"} {
			if !strings.Contains(s.log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, s.log.String())
			}
		}
		synctest.Wait()
		time.Sleep(5 * time.Second)
		if s.left() != "" {
			t.Errorf("left %q", s.left())
		}
		if found, err := s.services.Hosts(); len(found) != 0 || err != nil {
			t.Errorf("after the job Hosts = %v, %v", found, err)
		}
	})
}

// TestServicesApart: two of one image get pods of their own, and are found there.
func TestServicesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, serves(0))
		asked := with(serviceOf("postgres:16", ""), serviceOf("postgres:16", "--user postgres:staff"))
		asked.Services[1].Registry = &hook.Registry{Username: "robot"}
		s.options.Registry = images{users: map[string]string{"postgres:16": "robot"}}
		s.again()
		if _, err := s.prepare(asked, "psql-a", "psql-b"); err != nil {
			t.Fatal(err)
		}
		for _, pod := range s.cluster.Pods() {
			switch got := strings.Join(containersOf(pod), " "); {
			case got == "kiln-hosts psql-b":
				if user := pod.Spec.Containers[1].SecurityContext; *user.RunAsUser != 70 || *user.RunAsGroup != 50 {
					t.Errorf("user %+v", user)
				}
			case got != "job psql-a":
				t.Errorf("a pod has %s", got)
			default:
				want := map[string]string{"psql-a": "127.0.0.1", "postgres": "127.0.0.1", "psql-b": podtest.IP}
				if diff := cmp.Diff(want, hosts(pod)); diff != "" {
					t.Errorf("hosts (-want +got):\n%s", diff)
				}
			}
		}
		if s.left() != "pods pods secrets secrets secrets" {
			t.Errorf("the cluster has %v", s.cluster.Names())
		}
		s.jobs.Cleanup(t.Context(), s.call("request-2"))
		synctest.Wait()
		time.Sleep(5 * time.Second)
		if s.left() != "" {
			t.Errorf("left %q", s.left())
		}
	})
}

// TestNamedVolumes: a named volume is one for all that name it, or an error.
func TestNamedVolumes(t *testing.T) {
	for name, tt := range map[string]struct {
		job, first, second string // options
		images             [2]string
		want               string
	}{
		"in one pod":                    {"-v data:/a", "-v data:/b", "-v other:/c", [2]string{"postgres:16", "redis"}, ""},
		"of two services":               {"", "-v data:/a", "-v data:/b", [2]string{"redis", "redis"}, "the service a and the service b have a named volume in common"},
		"of the job and a service":      {"-v data:/a", "", "-v data:/b", [2]string{"redis", "redis"}, "the job container and the service b have a named volume in common"},
		"of different names":            {"-v data:/a", "-v one:/a", "-v two:/b", [2]string{"redis", "redis"}, ""},
		"one without a name in another": {"-v data:/a", "--tmpfs /x", "--tmpfs /x", [2]string{"redis", "redis"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, serves(0))
				asked := with(serviceOf(tt.images[0], tt.first), serviceOf(tt.images[1], tt.second))
				asked.Container.Container.CreateOptions = tt.job
				_, err := s.prepare(asked, "a", "b")
				if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Prepare = %v, want %q", err, tt.want)
				}
				s.jobs.Cleanup(t.Context(), s.call("request-2"))
			})
		})
	}
}

// TestServicesHealthyOnce: a service that was healthy is no longer waited for, whatever
// its check says while another one starts.
func TestServicesHealthyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(life *podtest.Life) {
			names := containersOf(life.Pod())
			life.Start(names...)
			for _, now := range []struct {
				container string
				ready     bool
			}{{"db", true}, {"db", false}, {"cache", true}} {
				life.Wait(30 * time.Second)
				setReady(life, now.container, now.ready)
			}
			<-life.Deleted()
			for _, name := range names {
				life.Exit(name, 0)
			}
		})
		asked := with(
			serviceOf("postgres:16", "--health-cmd x --health-interval 2s --health-retries 5 --health-start-period 30s"),
			serviceOf("redis", "--health-cmd x --health-interval 5s --health-retries 20"),
		)
		if _, err := s.prepare(asked, "db", "cache"); err != nil {
			t.Errorf("Prepare = %v\n%s", err, s.log.String())
		}
	})
}

// TestServicesFail: a service that does not get healthy ends the job with its log and
// name; one without a health check only warns.
func TestServicesFail(t *testing.T) {
	dies := func(life *podtest.Life) {
		life.Start(containersOf(life.Pod())...)
		life.Print("db", "I die\n")
		life.Exit("db", 3)
		<-life.Deleted()
		for _, name := range containersOf(life.Pod()) {
			life.Exit(name, 0)
		}
	}
	for name, test := range map[string]struct {
		options string
		life    func(*podtest.Life)
		want    string // of the error; empty for none
		log     []string
	}{
		"never healthy": {
			"--health-cmd false --health-interval 1s --health-timeout 1s --health-retries 2", serves(time.Hour),
			"the service db (postgres:16) failed: its health check has not passed within 8s (start period 0s, 2 retries every 1s of at most 1s)",
			[]string{"::group::Service container db\n", "db says"},
		},
		"dies": {
			"--health-cmd true", dies,
			"the service db (postgres:16) failed: it ended with exit code 3",
			[]string{"::group::Service container db\n", "I die\n"},
		},
		"dies, nobody looks": {
			"", dies, "", []string{"I die\n", "::warning::kiln: the service db does not run any more: it ended with exit code 3\n"},
		},
		"no image": {
			"", func(life *podtest.Life) {
				life.Start("job")
				life.Waits("db", "ErrImagePull", "no match for platform in manifest: not found")
				<-life.Deleted()
			}, "cannot start", nil,
		},
		"the job has no image": {
			"", func(life *podtest.Life) {
				life.Start("db")
				life.Print("db", "I die\n")
				life.Waits("job", "ErrImagePull", "no match for platform in manifest: not found")
				<-life.Deleted()
				life.Exit("db", 0)
			}, "cannot start", []string{"I die\n"},
		},
		"bad options": {"--link x", serves(0), "the service db: options: --link has no counterpart on Kubernetes", nil},
		"no rights":   {"--privileged", serves(0), "the service db: options: --privileged: not allowed here; ask who runs these runners (KILN_JOB_RIGHTS)", nil},
		"a bad port":  {"-p x", serves(0), `ports: "x" is not [HOST:]PORT[/PROTOCOL]`, nil},
		"evicted": {
			"--health-cmd false", func(life *podtest.Life) {
				life.Start(containersOf(life.Pod())...)
				life.Wait(time.Second)
				life.Change(func(pod *corev1.Pod) { pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "Evicted" })
				<-life.Deleted()
			}, "the pod of the services db was ended by the cluster: Evicted", nil,
		},
		"never starts": {
			"", func(life *podtest.Life) {
				life.Start("job")
				<-life.Deleted()
				life.Exit("job", 0)
			}, "the service db did not start within 2m0s (KILN_PENDING_TIMEOUT)", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, test.life)
				_, err := s.prepare(with(serviceOf("postgres:16", test.options)), "db")
				if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("Prepare = %v, want %q", err, test.want)
				}
				for _, want := range test.log {
					if !strings.Contains(s.log.String(), want) {
						t.Errorf("the log lacks %q:\n%s", want, s.log.String())
					}
				}
				s.log.Reset()
				s.jobs.Cleanup(t.Context(), s.call("request-2"))
				if strings.Contains(s.log.String(), "I die") {
					t.Errorf("the log comes twice: %s", s.log.String())
				}
				synctest.Wait()
				time.Sleep(10 * time.Second)
				if s.left() != "" {
					t.Errorf("left %q", s.left())
				}
			})
		})
	}
}

// TestServicesAlone: steps in the runner container reach services at localhost, also
// after a restart of the daemon, and no longer after the job.
func TestServicesAlone(t *testing.T) {
	here := func(life *podtest.Life) {
		life.Change(func(pod *corev1.Pod) { pod.Status.PodIP = "127.0.0.1" })
		life.Start(containersOf(life.Pod())...)
		takeNames(life, 0)
		<-life.Deleted()
		for _, name := range containersOf(life.Pod()) {
			life.Exit(name, 0)
		}
	}
	s := newStage(t, here)
	port := echo(t)
	asked := hook.Job{Services: []hook.JobContainer{
		serviceOf("redis:7", "", port), serviceOf("redis:7", "", port+"/udp"), serviceOf("ghcr.io/a/b", ""),
	}}
	asked.Services[2].Registry = &hook.Registry{Username: "robot", Password: "x"}
	s.options.Registry = images{
		serving: map[string]registry.Serving{"redis:7": {Exposed: []string{port + "/tcp"}}, "ghcr.io/a/b": {Health: &registry.Healthcheck{Test: []string{"NONE"}}}},
		users:   map[string]string{"ghcr.io/a/b": "robot"},
	}
	s.again()
	response, err := s.prepare(asked)
	if err != nil {
		t.Fatal(err)
	}
	if response.Context.Container != nil || response.State.JobPod != "" || len(response.Context.Services) != 3 {
		t.Fatalf("response %+v", response)
	}
	host := response.Context.Services[0].Ports[port]
	if got := say(t, host, "hello"); got != "hello" {
		t.Errorf("the service says %q", got)
	}
	var together []string
	for _, pod := range s.cluster.Pods() {
		together = append(together, strings.Join(containersOf(pod), " "))
	}
	slices.Sort(together)
	if diff := cmp.Diff([]string{"kiln-hosts redis-2", "redis b"}, together); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
	s.services.Close()
	s.again()
	if err := s.services.Resume(); err != nil {
		t.Fatal(err)
	}
	if got := say(t, host, "again"); got != "again" {
		t.Errorf("after a restart the service says %q", got)
	}
	s.jobs.Cleanup(t.Context(), s.call("request-2"))
	if conn, err := net.Dial("tcp", "127.0.0.1:"+host); err == nil {
		_ = conn.Close()
		t.Error("the port is open after the job")
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, number, _ := net.SplitHostPort(taken.Addr().String())
	_, err = s.prepare(hook.Job{Services: []hook.JobContainer{serviceOf("redis:7", "", number+":"+port)}})
	if failure.Of(err) != failure.BadRequest || !strings.Contains(err.Error(), "the port "+number+"/tcp for the service redis is taken in the runner pod") {
		t.Errorf("a taken port: %v", err)
	}
}

// echo serves TCP connections with what they say, and returns its port.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// say says text to a port of localhost and returns the answer.
func say(t *testing.T, port, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	answer := make([]byte, len(text))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, answer); err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
