package imagebuild_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/config"
	"kiln/internal/executor"
	"kiln/internal/failure"
	"kiln/internal/imagebuild"
	"kiln/internal/kaniko"
	"kiln/internal/label"
	"kiln/internal/podtest"
	"kiln/internal/registry"
	"kiln/internal/steplog"
)

// oss is the Kaniko of the tests.
func oss() executor.Flavor {
	return executor.Flavor{Name: executor.Osscontainertools, Version: "1.28"}
}

// TestAgain builds an image that was found and that the nodes do not find: what has its
// tag does not count.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if outcome, err := w.runner("a", nil, nil).image(t.Context()); outcome != "built" {
			t.Fatalf("%s, %v", outcome, err)
		}
		time.Sleep(time.Minute)
		r := w.runner("b", nil, nil)
		source := w.source
		who := imagebuild.Asker{
			ID: "request", Runner: r.self, Owner: r.self.Owner(),
			Log: steplog.New(&r.log, "", false), Times: steplog.NewTimes(nil), Logger: zap.NewNop(),
		}
		found, err := r.builder.Image(t.Context(), &source, who)
		if err != nil || found.Reused == "" {
			t.Fatalf("image %+v, %v", found, err)
		}
		again, err := r.builder.Again(t.Context(), found)
		if err != nil || again.Reused != "" || again.Reference == found.Reference || !strings.Contains(r.log.String(), "the nodes do not find it") {
			t.Errorf("image %+v, %v, log %q", again, err, r.log.String())
		}
		r.builder.Refused(t.Context(), who, errors.New("no context"))
	})
}

// TestRefusals are builds that no pod is made for.
func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		dockerfile string
		change     func(*world)
		reason     failure.Reason
		says       string
	}{
		"syntax":            {"FROM\n", nil, failure.DockerfileSyntax, "Dockerfile:1"},
		"a missing source":  {"FROM base.example.com/base:1\nCOPY nothing /\n", nil, failure.SourceMissing, "nothing"},
		"no such base":      {"FROM base.example.com/other:1\n", nil, failure.BaseImageNotFound, "does not exist"},
		"a bad trigger":     {"FROM base.example.com/trigger:1\n", nil, failure.BaseImageNotFound, "nowhere.example.com/x:1"},
		"a trigger without": {"FROM base.example.com/trigger:2\n", nil, failure.DockerfileSyntax, "ONBUILD of base.example.com/trigger:2"},
		"no context":        {dockerfile, func(w *world) { w.must(os.Remove(w.source.Context.Path)) }, failure.BadRequest, "read the .dockerignore"},
		"devices, users on": {"FROM base.example.com/base:1\nRUN mknod /dev/x c 1 3\n", func(w *world) { w.settings.BuildUserns = config.UsernsOn }, failure.UnsupportedInstruction, "KILN_BUILD_USERNS=on"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.registry.Put("base.example.com/trigger:1", podtest.Image{Config: v1.Config{OnBuild: []string{"COPY --from=nowhere.example.com/x:1 /a /a"}}})
				w.registry.Put("base.example.com/trigger:2", podtest.Image{Config: v1.Config{OnBuild: []string{"COPY"}}})
				w.source.Text = []byte(tt.dockerfile)
				if tt.change != nil {
					tt.change(w)
				}
				r := w.runner("a", nil, nil)
				_, err := r.image(t.Context())
				if failure.Of(err) != tt.reason || err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error %v (%s), want %s and %q", err, failure.Of(err), tt.reason, tt.says)
				}
				if n := r.client.Calls("create pods"); n > 0 {
					t.Errorf("%d pods were made", n)
				}
			})
		})
	}
}

// TestCheck asks nobody.
func TestCheck(t *testing.T) {
	w := newWorld(t)
	var log strings.Builder
	source := w.source
	if err := imagebuild.Check(t.Context(), &source, oss(), false, steplog.New(&log, "", false)); err != nil {
		t.Error(err)
	}
	source = w.source
	source.Text = []byte("FROM base.example.com/base:1\nCOPY nothing /\n")
	if err := imagebuild.Check(t.Context(), &source, oss(), false, steplog.New(&log, "", false)); failure.Of(err) != failure.SourceMissing {
		t.Errorf("error %v", err)
	}
}

// TestSpecimen is the pod of a build, and nothing is made.
func TestSpecimen(t *testing.T) {
	w := newWorld(t)
	names, err := registry.NewNames("registry.example.com/ci", "", "")
	if err != nil {
		t.Fatal(err)
	}
	r := w.runner("a", nil, nil)
	pod, err := imagebuild.Options{Settings: w.settings, Namespace: "ci", Names: names, Flavor: oss()}.Specimen("id", r.self)
	if err != nil || pod.Labels[label.Role] != label.RoleBuild || len(pod.Spec.Containers) != 2 || len(w.cluster.Names()) > 0 {
		t.Errorf("pod %+v, %v", pod, err)
	}
	w.settings.BuildMemory = "much"
	if _, err := (imagebuild.Options{Settings: w.settings, Namespace: "ci", Names: names, Flavor: oss()}).Specimen("id", r.self); err == nil {
		t.Error("a limit that is none was taken")
	}
}

// TestRelease gives up what an earlier run of the daemon made or followed, and says
// where it cannot.
func TestRelease(t *testing.T) {
	for name, tt := range map[string]struct {
		faults podtest.Faults
		left   int
		fails  bool
	}{
		"well":      {nil, 1, false},
		"no list":   {podtest.Always("list pods", podtest.Lost()), 2, true},
		"no delete": {podtest.Always("delete pods", podtest.Forbidden("delete", "pods")), 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.at = func(life *podtest.Life, _ int, _ string) bool { <-life.Gone(); return false }
				pod := w.scout()
				a, b := w.runner("a", tt.faults, nil), w.runner("b", nil, nil)
				for _, r := range []*runner{a, b} {
					of := pod.DeepCopy()
					of.Name = "build-of-" + r.self.Name
					of.OwnerReferences[0] = r.self.Owner()
					w.must(w.cluster.Add(of))
				}
				err := a.builder.Release(t.Context(), types.UID(a.self.UID))
				if (err != nil) != tt.fails || len(w.cluster.Names()) != tt.left {
					t.Errorf("error %v, left %v", err, w.cluster.Names())
				}
			})
		})
	}
}

// TestOwnUsers has nodes and API servers that cannot give a pod its user namespace.
func TestOwnUsers(t *testing.T) {
	for name, tt := range map[string]struct {
		setting string
		release string
		admit   func(*corev1.Pod) error
		refuse  bool // the node cannot
		want    ending
	}{
		"on":                       {config.UsernsOn, "", nil, false, ending{"built", 1, 1, ""}},
		"on, the node cannot":      {config.UsernsOn, "", nil, true, ending{"not_started", 1, 0, ""}},
		"on, the server drops it":  {config.UsernsOn, "", func(pod *corev1.Pod) error { pod.Spec.HostUsers = nil; return nil }, false, ending{"misconfigured", 1, 0, ""}},
		"auto, an old cluster":     {config.UsernsAuto, "v1.30.0", nil, true, ending{"built", 1, 1, ""}},
		"auto, an unknown cluster": {config.UsernsAuto, "?", nil, true, ending{"built", 1, 1, ""}},
		"off":                      {config.UsernsOff, "", nil, true, ending{"built", 1, 1, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.settings.BuildUserns, w.cluster.Release, w.cluster.Admit = tt.setting, tt.release, tt.admit
				w.at = func(life *podtest.Life, _ int, moment string) bool {
					if !tt.refuse || moment != created || life.Pod().Spec.HostUsers == nil {
						return true
					}
					life.Schedule()
					life.Event("FailedCreatePodSandBox", "failed to create user namespace")
					<-life.Deleted()
					return false
				}
				outcome, err := w.runner("a", nil, nil).image(t.Context())
				if diff := gocmp.Diff(tt.want, w.ending(outcome)); diff != "" {
					t.Errorf("error %v (-want +got):\n%s", err, diff)
				}
			})
		})
	}
}

// TestGateEnds has the gate end before the build, after it has refused something.
func TestGateEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		code   int32
		reason failure.Reason
		says   string
	}{
		"killed":    {137, failure.Evicted, "was killed (exit code 137)"},
		"by itself": {1, failure.Internal, "look at the registry settings; it refused GET /v2/evil"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.at = func(life *podtest.Life, _ int, moment string) bool {
					if moment != begun {
						return true
					}
					life.Print(kaniko.ContainerGate, "# upstream answered 503", "denied GET /v2/evil")
					life.Wait(time.Second)
					life.Exit(kaniko.ContainerGate, tt.code)
					<-life.Deleted()
					return false
				}
				r := w.runner("a", nil, nil)
				_, err := r.image(t.Context())
				if failure.Of(err) != tt.reason || !strings.Contains(err.Error(), tt.says) || !strings.Contains(r.log.String(), "the gate refused GET /v2/evil") {
					t.Errorf("error %v (%s), log %q", err, failure.Of(err), r.log.String())
				}
			})
		})
	}
}
