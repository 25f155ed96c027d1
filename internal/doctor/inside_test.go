package doctor

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kiln/internal/kube/kubetest"
	"kiln/internal/podrun"
	"kiln/internal/scaleset"
	"kiln/internal/spool"
)

// inSidecarAt returns an examination from the kiln container, whose directories are
// below dir.
func inSidecarAt(t *testing.T, dir string, env map[string]string, objects ...runtime.Object) *examination {
	t.Helper()
	pod := overlaid(t, scaleset.Sealed)
	maps.Copy(env, map[string]string{"KILN_EXCHANGE": dir + "/exchange", "KILN_STATE": dir + "/state", "KILN_DOCKER_CONFIG": dir + "/registry/.dockerconfigjson", "KILN_POD_NAME": "runner"})
	kiln := inPod(pod, containerKiln)
	for i := range kiln.VolumeMounts {
		m := &kiln.VolumeMounts[i]
		switch m.Name {
		case "kiln-exchange":
			m.MountPath = env["KILN_EXCHANGE"]
		case "kiln-state":
			m.MountPath = env["KILN_STATE"]
		case "kiln-registry":
			m.MountPath = dir + "/registry"
		}
	}
	e := &examination{
		Options: Options{Place: Sidecar, Namespace: "runners", PodName: "runner", Env: env},
		client:  podrun.Client{Kube: kubetest.New(objects...), Namespace: "runners"},
		pods:    []corev1.Pod{*pod},
	}
	e.readSettings(t.Context())
	return e
}

func TestExchangeInside(t *testing.T) {
	dir := t.TempDir()
	e := inSidecarAt(t, dir, settingsOf(nil))
	wantFinding(t, e.exchange(t.Context()), Fail, "open exchange", "mount an emptyDir at "+dir+"/exchange")
	if err := os.Mkdir(dir+"/exchange", 0o777); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, e.exchange(t.Context()), Fail, "no daemon serves the exchange", "the log of the container kiln")
	exchange, err := spool.Open(dir + "/exchange")
	if err != nil {
		t.Fatal(err)
	}
	defer exchange.Close()
	if err := exchange.Init(); err != nil {
		t.Fatal(err)
	}
	lock, err := exchange.LockDaemon()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	wantFinding(t, e.exchange(t.Context()), OK, "has not called the hook so far", "")
	wantFinding(t, e.delegate(t.Context()), OK, "none: sealed mode", "")
	if err := exchange.Greet(spool.Hello{Delegate: "/x.js", Problem: "it is not there"}); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, e.exchange(t.Context()), OK, "the runner called the hook last at 20", "")
	wantFinding(t, e.delegate(t.Context()), Fail, "it is not there", "stock hook")
	if err := os.RemoveAll(dir + "/exchange/requests"); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, e.exchange(t.Context()), Fail, "no daemon serves", "")
}

func TestMemoryInside(t *testing.T) {
	dir := t.TempDir()
	e := inSidecarAt(t, dir, settingsOf(nil))
	wantFinding(t, e.state(t.Context()), Fail, "the state cannot be written", "mount an emptyDir at "+dir+"/state")
	if err := os.Mkdir(dir+"/state", 0o777); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, e.state(t.Context()), OK, "writable", "")
	if entries, err := os.ReadDir(dir + "/state"); err != nil || len(entries) > 0 {
		t.Errorf("left in the state: %v, %v", entries, err)
	}
}

func TestSecretInside(t *testing.T) {
	file := func(t *testing.T, dir, content string) {
		if err := os.MkdirAll(dir+"/registry", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "registry", ".dockerconfigjson"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("sound", func(t *testing.T) {
		dir := t.TempDir()
		file(t, dir, string(dockerConfig("ghcr.io")[corev1.DockerConfigJsonKey]))
		wantFinding(t, inSidecarAt(t, dir, settingsOf(nil)).secret(t.Context()), OK, "has credentials", "")
	})
	t.Run("not named", func(t *testing.T) {
		dir := t.TempDir()
		file(t, dir, "{}")
		e := inSidecarAt(t, dir, settingsOf(map[string]string{envRegistrySecret: ""}))
		wantFinding(t, e.secret(t.Context()), Warn, "is not set: build pods and nodes have none", "set "+envRegistrySecret)
	})
	t.Run("not mounted", func(t *testing.T) {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "kiln-other", Namespace: "runners"}}
		e := inSidecarAt(t, t.TempDir(), settingsOf(map[string]string{envRegistrySecret: "kiln-other"}), secret)
		e.settings.RegistrySecret = "kiln-other"
		// The fake takes a dry run for the real thing; the name is taken either way.
		wantFinding(t, e.secret(t.Context()), Fail, "has not mounted the Secret kiln-other", "--registry-secret=kiln-other")
	})
	t.Run("other key", func(t *testing.T) {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "kiln-registry", Namespace: "runners"}}
		e := inSidecarAt(t, t.TempDir(), settingsOf(nil), secret)
		wantFinding(t, e.secret(t.Context()), Fail, "the Secret kiln-registry has no key .dockerconfigjson", "kubectl create secret generic kiln-registry -n runners")
	})
	t.Run("no Secret", func(t *testing.T) {
		e := inSidecarAt(t, t.TempDir(), settingsOf(nil))
		wantFinding(t, e.secret(t.Context()), Fail, "there is no such Secret", "kubectl create secret generic")
	})
}

func TestDaemonAnswers(t *testing.T) {
	body := "ok\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			_, _ = w.Write([]byte(body))
		}
	}))
	address := strings.TrimPrefix(server.URL, "http://")
	e := inSidecarAt(t, t.TempDir(), settingsOf(map[string]string{"KILN_LISTEN": address}))
	wantFinding(t, e.daemon(t.Context()), OK, "the daemon says ok", "")
	body = "the API server is down"
	wantFinding(t, e.daemon(t.Context()), Fail, "the daemon says: the API server is down", "do what it says")
	server.Close()
	wantFinding(t, e.daemon(t.Context()), Fail, "the daemon does not answer", "KILN_LISTEN has to be an address of this pod")
}
