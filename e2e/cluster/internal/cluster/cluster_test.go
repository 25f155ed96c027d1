package cluster

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"
	"sigs.k8s.io/yaml"
)

func TestDecide(t *testing.T) {
	tests := map[string]struct {
		machine machine
		want    plan
		err     string
	}{
		"a laptop with Docker": {
			machine: machine{engine: true, reach: true},
			want:    plan{nodeImage: defaults.Image},
		},
		"Debian with Docker, connected": {
			machine: machine{root: true, debian: true, engine: true, reach: true},
			want:    plan{nodeImage: defaults.Image},
		},
		"bare Debian, connected": {
			machine: machine{root: true, debian: true, reach: true},
			want:    plan{startEngine: true, nodeImage: defaults.Image},
		},
		"bare Debian, not connected": {
			machine: machine{root: true, debian: true},
			want:    plan{startEngine: true, buildNode: true, buildBases: true},
		},
		"bare Debian with cgroup v1, connected": {
			machine: machine{root: true, debian: true, reach: true, cgroupV1: true},
			want:    plan{startEngine: true, buildNode: true},
		},
		"an image of one's own": {
			machine: machine{root: true, debian: true, engine: true, nodeImage: "mine"},
			want:    plan{buildBases: true, nodeImage: "mine"},
		},
		"cgroup v1, not Debian":           {machine: machine{engine: true, reach: true, cgroupV1: true}, err: "cgroup v1"},
		"no engine, not root":             {machine: machine{debian: true, reach: true}, err: "not root"},
		"no engine, not Debian":           {machine: machine{root: true, reach: true}, err: "not Debian"},
		"an engine, not connected":        {machine: machine{engine: true, debian: true}, err: "KILN_KIND_NODE_IMAGE"},
		"a node image but nothing for it": {machine: machine{engine: true, nodeImage: "mine"}, err: "base images"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := decide(tt.machine)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error is %v, want one line with %q", err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("decide = %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestEnv(t *testing.T) {
	c := New(Config{Dir: t.TempDir(), Name: "kiln"})
	if _, err := c.Env(); err == nil {
		t.Error("Env without a cluster: want an error")
	}
	if err := os.MkdirAll(c.dir(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.saveState(State{Push: "127.0.0.1:1", AuthPush: "127.0.0.1:2", User: "u", Password: "p", Shared: "/of/all"}); err != nil {
		t.Fatal(err)
	}
	variables, err := c.Env()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range variables {
		got = append(got, v.Export())
	}
	want := []string{
		"export KUBECONFIG='" + c.Dir + "/clusters/kiln/kubeconfig'",
		"export KILN_E2E_REGISTRY='kiln-registry:5000'",
		"export KILN_E2E_REGISTRY_PUSH='127.0.0.1:1'",
		"export KILN_E2E_AUTH_REGISTRY='kiln-registry-auth:5000'",
		"export KILN_E2E_AUTH_REGISTRY_PUSH='127.0.0.1:2'",
		"export KILN_E2E_AUTH_USER='u'",
		"export KILN_E2E_AUTH_PASSWORD='p'",
		"export KILN_E2E_KANIKO_IMAGE='kiln-registry:5000/kaniko/executor:v1.25.16'",
		"export KILN_E2E_KANIKO_FLAVOR='chainguard@1.25.16'",
		"export KILN_E2E_MIRRORS='docker.io=kiln-registry:5000'",
		"export KILN_E2E_INSECURE='kiln-registry:5000,kiln-registry-auth:5000'",
		"export KILN_E2E_SHARED='/of/all'",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Env (-want +got):\n%s", diff)
	}
}

func TestExportQuotes(t *testing.T) {
	if got, want := (Variable{"A", "it's"}).Export(), `export A='it'\''s'`; got != want {
		t.Errorf("Export = %s, want %s", got, want)
	}
}

func TestKindConfig(t *testing.T) {
	var config struct {
		Nodes []struct {
			Role        string
			ExtraMounts []struct{ HostPath, ContainerPath string }
		}
		KubeadmConfigPatches    []string
		ContainerdConfigPatches []string
	}
	if err := yaml.UnmarshalStrict([]byte(strings.Replace(kindConfig(3, "/of/this machine"), "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n", "", 1)), &config); err != nil {
		t.Fatal(err)
	}
	roles := ""
	for _, node := range config.Nodes {
		roles += node.Role + " "
		if len(node.ExtraMounts) != 1 || node.ExtraMounts[0].HostPath != "/of/this machine" || node.ExtraMounts[0].ContainerPath != storePath {
			t.Errorf("mounts of %s: %v", node.Role, node.ExtraMounts)
		}
	}
	if want := "control-plane worker worker "; roles != want || len(config.ContainerdConfigPatches) != 1 {
		t.Errorf("roles %q and %d patches, want %q and one", roles, len(config.ContainerdConfigPatches), want)
	}
}

func TestHostsKeepTheFallback(t *testing.T) {
	c := New(Config{Dir: t.TempDir(), Name: "kiln"})
	want := "server = \"https://registry-1.docker.io\"\n\n[host.\"http://kiln-registry:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
	if diff := cmp.Diff(want, c.hosts()["docker.io"]); diff != "" {
		t.Errorf("hosts.toml of docker.io (-want +got):\n%s", diff)
	}
}

func TestPasswordsDiffer(t *testing.T) {
	if a, b := newPassword(), newPassword(); a == b || len(a) < 20 {
		t.Errorf("passwords %q and %q: want two long ones", a, b)
	}
}
