package servicerun_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/hook"
	"kiln/internal/podtest"
	"kiln/internal/registry"
)

// TestServicesOwnName: in a pod of its own a service's name leads to the pod's address, so
// that a server that binds to its name is reached from outside; where several share a pod
// their names are its loopback.
func TestServicesOwnName(t *testing.T) {
	const loopback, other = "127.0.0.1", podtest.IP
	beside := func(options string, services ...hook.JobContainer) hook.Job {
		asked := with(services...)
		asked.Container.Container.CreateOptions = options
		return asked
	}
	for name, tt := range map[string]struct {
		asked hook.Job
		ids   []string
		want  map[string]map[string]string // by the pod's containers
	}{
		"one": {
			hook.Job{Services: []hook.JobContainer{serviceOf("a/kafka:3", "")}},
			[]string{"broker"},
			map[string]map[string]string{"broker": {"broker": itself, "kafka": loopback}},
		},
		"one with a hostname": {
			hook.Job{Services: []hook.JobContainer{serviceOf("a/kafka:3", "--hostname Node-1")}},
			[]string{"broker"},
			map[string]map[string]string{"broker": {"broker": loopback, "node-1": itself, "kafka": loopback}},
		},
		"one with a hostname of a domain": {
			hook.Job{Services: []hook.JobContainer{serviceOf("a/kafka:3", "--hostname kdc.example.test")}},
			[]string{"broker"},
			map[string]map[string]string{"broker": {"broker": itself, "kdc.example.test": loopback, "kafka": loopback}},
		},
		"two": {
			hook.Job{Services: []hook.JobContainer{serviceOf("a/kafka:3", ""), serviceOf("redis:7", "")}},
			[]string{"broker", "cache"},
			map[string]map[string]string{"broker cache": {"broker": loopback, "cache": loopback, "kafka": loopback, "redis": loopback}},
		},
		"beside a job": {
			beside("", serviceOf("a/kafka:3", "")),
			[]string{"broker"},
			map[string]map[string]string{"job broker": {"broker": loopback, "kafka": loopback}},
		},
		"beside a job with names": {
			beside("--name app --network-alias web --hostname me", serviceOf("redis:7", "")),
			[]string{"cache"},
			map[string]map[string]string{"job cache": {"app": loopback, "web": loopback, "me": itself, "cache": loopback, "redis": loopback}},
		},
		"beside a job that has its port": {
			beside("-p 6379:6379", serviceOf("redis:7", "")),
			[]string{"cache"},
			map[string]map[string]string{"job": {"cache": other, "redis": other}, "cache": {"cache": itself, "redis": loopback}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, serves(0))
				s.options.Registry = images{serving: map[string]registry.Serving{"a/kafka:3": {}, "redis:7": {Exposed: []string{"6379/tcp"}}}}
				s.again()
				if _, err := s.prepare(tt.asked, tt.ids...); err != nil {
					t.Fatal(err)
				}
				got := map[string]map[string]string{}
				for _, pod := range s.cluster.Pods() {
					got[strings.Join(containersOf(pod), " ")] = hosts(pod)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("names (-want +got):\n%s", diff)
				}
				s.jobs.Cleanup(t.Context(), s.call("request-2"))
			})
		})
	}
}

// TestServicesOddOptions: what the options of a service ask for in vain is told.
func TestServicesOddOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, serves(0))
		asked := with(serviceOf("redis:7", "--restart on-failure --init"), serviceOf("b", "--restart no"))
		asked.Container.Container.CreateOptions = "--restart always --init --hostname a.b"
		if _, err := s.prepare(asked, "cache", "b"); err != nil {
			t.Fatal(err)
		}
		for want, count := range map[string]int{
			"::warning::kiln: the service cache: options: --init: no effect on a service on Kubernetes\n":                                 1,
			"::warning::kiln: the service cache: options: --restart on-failure: a service that ends is not started again on Kubernetes\n": 1,
			"::warning::kiln: options: --hostname a.b: no effect, for a pod's name has letters, digits and - alone\n":                     1,
			"--restart": 1, "--init": 1,
		} {
			if got := strings.Count(s.log.String(), want); got != count {
				t.Errorf("%d times %q:\n%s", got, want, s.log.String())
			}
		}
		s.jobs.Cleanup(t.Context(), s.call("request-2"))
	})
}
