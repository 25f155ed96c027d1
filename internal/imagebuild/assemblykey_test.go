package imagebuild_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/zap"

	"kiln/internal/executor"
	"kiln/internal/failure"
	"kiln/internal/imagebuild"
	"kiln/internal/podtest"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// TestSwitched: an image that was put together is not taken for one that Kaniko builds
// whole, nor the other way about.
func TestSwitched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		w.stage("FROM base.example.com/base:1\nCOPY main.c /src/\n", "main.c", "one")
		for _, step := range []struct {
			assemble bool
			pods     int
			reused   bool
		}{{true, 0, false}, {false, 1, false}, {true, 1, true}, {false, 1, true}} {
			w.settings.Assemble = step.assemble
			r := w.runner("a", nil, nil)
			image := r.must(t)
			if n := w.podsMade(); n != step.pods || image.Reused != "" != step.reused {
				t.Errorf("%+v: %d build pods, reused %q", step, n, image.Reused)
			}
		}
		w.wantNothing(t)
	})
}

// TestBaseAheadOfTheClock: what nothing runs for does not age, whatever time its base has.
func TestBaseAheadOfTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		late := podtest.Image{Layers: [][]byte{baseFiles(t)}, Config: v1.Config{Env: []string{baseEnv}}, Created: time.Now().Add(24 * 365 * time.Hour)}
		w.registry.Put("base.example.com/late:1", late)
		w.stage("FROM base.example.com/late:1\nCOPY main.c /src/\n", "main.c", "one")
		r := w.runner("a", nil, nil)
		first := r.must(t)
		if again := r.must(t); again.Reused == "" || again.Reference != first.Reference {
			t.Errorf("again it is %+v, want %s reused\n%s", again, first.Reference, r.log.String())
		}
	})
}

// TestTagMoves: a tag that moves between the look at the whole and that at its base part
// is none of the image's.
func TestTagMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		const tag = "base.example.com/base:1"
		base := podtest.Image{Layers: [][]byte{baseFiles(t)}, Config: v1.Config{Env: []string{baseEnv}}}
		first := w.registry.Put(tag, base)
		var asked atomic.Int64
		moves := func(call podtest.Call) podtest.Fault {
			// The look-up is between the plans. It takes longer than a tag is remembered.
			if strings.HasPrefix(call.Name, "ci/app:k1-") && asked.Add(1) == 1 {
				base.Config.Labels = map[string]string{"moved": "yes"}
				w.registry.Put(tag, base)
				time.Sleep(10 * time.Minute)
			}
			return podtest.Fault{}
		}
		var pulls atomic.Value
		w.at = func(life *podtest.Life, _ int, _ string) bool {
			for _, container := range life.Pod().Spec.Containers {
				for _, arg := range container.Args {
					if strings.Contains(arg, tag) && strings.Contains(arg, "@sha256:") {
						pulls.Store(arg)
					}
				}
			}
			return true
		}
		w.stage("FROM "+tag+"\nRUN make\nCOPY main.c /\n", "main.c", "one")
		w.runner("a", nil, moves).must(t)
		if got, _ := pulls.Load().(string); !strings.Contains(got, first) {
			t.Errorf("the base part is built of %q, want %s", got, first)
		}
	})
}

// TestUnusedStage: a base part binds nothing of a stage that nothing uses, where Kaniko
// does not build it.
func TestUnusedStage(t *testing.T) {
	for flavor, pods := range map[executor.Flavor]int{
		{Name: executor.Osscontainertools, Version: "1.28.3"}: 1,
		{Name: executor.Osscontainertools, Version: "99.0.0"}: 2,
		{Name: executor.Osscontainertools}:                    2,
		{Name: executor.Chainguard, Version: "1.25.16"}:       1,
	} {
		t.Run(flavor.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSplitWorld(t)
				w.flavor = flavor
				r := w.runner("a", nil, nil)
				for _, content := range []string{"one", "two"} {
					w.stage("FROM other.example.com/test:1 AS test\nCOPY . .\nRUN test\n"+
						"FROM base.example.com/base:1\nCOPY list /\nRUN install\nCOPY . /src/\n", "list", "x", "main.c", content)
					if image := r.must(t); image.Reused != "" {
						t.Errorf("the image of %s is %+v", content, image)
					}
				}
				if n := w.podsMade(); n != pods {
					t.Errorf("%d build pods, want %d", n, pods)
				}
			})
		})
	}
}

// TestNotTogether: what Kaniko cannot build, and kiln could not put together for a fault
// of the registry, is told as that.
func TestNotTogether(t *testing.T) {
	const parents = "FROM base.example.com/base:1\nCOPY --parents main.c /\n"
	for name, tt := range map[string]struct {
		dockerfile string
		faults     podtest.Faults
		reason     failure.Reason
		says       string
	}{
		"the upload breaks":  {parents, podtest.Always("put blobs", podtest.Lost()), failure.RegistryUnreachable, "upload the blob"},
		"the push is denied": {parents, podtest.Always("put manifests", podtest.Answers(403)), failure.RegistryDeniedPush, "push registry.example.com/"},
		"the base part has gone": {
			"FROM base.example.com/base:1\nRUN make\nCOPY --parents main.c /\n", fromThe(1, "get manifests", "ci/app@", podtest.Answers(404)),
			failure.Internal, "read the base part",
		},
		"the layer is odd": {"FROM base.example.com/odd:1\nCOPY --parents main.c /\n", nil, failure.UnsupportedInstruction, "Kaniko ignores --parents"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSplitWorld(t)
				w.registry.Put("base.example.com/odd:1", podtest.Image{Layers: [][]byte{tarOf(t, "../x", "x")}, Config: v1.Config{Env: []string{baseEnv}}})
				w.stage(tt.dockerfile, "main.c", "one")
				r := w.runner("a", nil, tt.faults)
				_, err := r.order(t.Context())
				if got := failure.Of(err); got != tt.reason || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("it ended with %s: %v\nwant %s, %q", got, err, tt.reason, tt.says)
				}
				w.wantNothing(t)
			})
		})
	}
}

// TestWishesHoldNoSlot: an image that no step waits for, and whose base does not come,
// keeps no step waiting.
func TestWishesHoldNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		layers := [][]byte{tarOf(t, "a", "1"), tarOf(t, "b", "2"), tarOf(t, "c", "3"), tarOf(t, "d", "4")}
		slow := map[string]bool{}
		for _, layer := range layers {
			slow[fmt.Sprintf("slow:sha256:%x", sha256.Sum256(layer))] = true
		}
		w.registry.Put("slow.example.com/slow:1", podtest.Image{Layers: layers, Config: v1.Config{Env: []string{baseEnv}}})
		r := w.runner("a", nil, func(call podtest.Call) podtest.Fault {
			if call.Op == "get blobs" && slow[call.Name] {
				time.Sleep(time.Minute)
			}
			return podtest.Fault{}
		})
		w.stage("FROM slow.example.com/slow:1\nCOPY main.c /\n", "main.c", "one")
		source := w.source
		over := make(chan error, 1)
		go func() {
			_, err := r.builder.Image(t.Context(), &source, imagebuild.Asker{
				ID: spool.WishID(spool.NewWishJob(), 0), Runner: r.self, Owner: r.self.Owner(), Ahead: true,
				Log: steplog.New(&strings.Builder{}, "", false), Times: steplog.NewTimes(nil), Logger: zap.NewNop(),
			})
			over <- err
		}()
		time.Sleep(time.Second)
		w.stage("FROM base.example.com/base:1\nCOPY main.c /\n", "main.c", "two")
		began := time.Now()
		r.must(t)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the step took %s beside a wish", took)
		}
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}
