package imagebuild_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"kiln/internal/buildcontext"
	"kiln/internal/imagebuild"
	"kiln/internal/podtest"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// seen is what comes of a scene.
type seen struct {
	// part and whole are the tags of the base part and of the image, "" where there is
	// none, and digest is the image's.
	part, whole, digest string
	// streams is what build pods got, by the tag of what they make, and specs what they
	// were, by the whole reference.
	streams map[string][]byte
	specs   map[string]string
	err     error

	mu sync.Mutex
}

// lookedUp notes the first tag that is looked up: the image's.
func (s *seen) lookedUp(call podtest.Call) podtest.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tag := tagOf(call.Name); s.whole == "" && strings.HasPrefix(tag, "k1-") {
		s.whole = tag
	}
	return podtest.Fault{}
}

// podMade notes what a build pod is.
func (s *seen) podMade(life *podtest.Life) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	spec, err := json.Marshal(life.Pod().Spec)
	s.specs[pushOf(life.Pod())] = string(spec)
	return err
}

// tagOf is the tag of a reference.
func tagOf(reference string) string { return reference[strings.LastIndexByte(reference, ':')+1:] }

// made is when everything is built.
var made = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

// observe has the image of a scene made in a world of its own.
func observe(t *testing.T, s *scene) *seen {
	t.Helper()
	saw := &seen{streams: map[string][]byte{}, specs: map[string]string{}}
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		w.madeAt, w.made.Config.Env = made, s.env()
		w.registry.Put(triggerBase, podtest.Image{Layers: [][]byte{baseFiles(t)}, Config: v1.Config{Env: []string{baseEnv}, OnBuild: s.onBuild()}})
		w.at = func(life *podtest.Life, _ int, moment string) bool {
			return moment != created || saw.podMade(life) == nil
		}
		if saw.err = w.stageScene(t, s); saw.err != nil {
			return
		}
		r := w.runner("a", nil, saw.lookedUp)
		source := w.source
		var image imagebuild.Image
		image, saw.err = r.builder.Image(t.Context(), &source, imagebuild.Asker{
			ID: spool.NewID(), Runner: r.self, Owner: r.self.Owner(), Logger: zap.NewNop(),
			Log: steplog.New(&r.log, "", false), Times: steplog.NewTimes(nil),
			Note: func(b imagebuild.Begun) { saw.part = cmp.Or(tagOf(b.Part), saw.part) },
		})
		_, saw.digest, _ = strings.Cut(image.Pushed, "@")
		for reference, streams := range w.streams {
			saw.streams[tagOf(reference)] = streams[0]
		}
	})
	return saw
}

// stageScene stages a context as the shim does, and takes it as the daemon does.
func (w *world) stageScene(t *testing.T, s *scene) error {
	dir := t.TempDir()
	s.write(t, dir)
	var staged, canonical bytes.Buffer
	if _, err := buildcontext.Stage(&staged, filepath.Join(dir, "Dockerfile"), buildcontext.Limits{}); err != nil {
		return err
	}
	summary, tree, err := buildcontext.CanonicalTree(&canonical, &staged, buildcontext.Limits{})
	if err != nil {
		return err
	}
	at := filepath.Join(t.TempDir(), "context.tar.gz")
	w.context = canonical.Bytes()
	w.source = imagebuild.Source{
		Dockerfile: "Dockerfile", Text: []byte(s.dockerfile()), Place: steplog.Place{File: s.place, Local: true}, Workspace: s.workspace,
		Context: imagebuild.Context{Path: at, Digest: summary.Digest, Tree: tree},
	}
	return os.WriteFile(at, canonical.Bytes(), 0o600)
}

// TestEqualKeys changes something between two steps. What has equal keys is made of the
// same bytes, in the same pod, and comes to the same image. What no COPY of the base part
// names leaves its key as it is, and what it copies does not.
func TestEqualKeys(t *testing.T) {
	counts := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		before := drawScene(rt)
		saw := observe(t, before)
		for range 2 {
			after, change := drawChange(rt, before)
			rt.Logf("%s of %s", change.name, before)
			pair := pair{t: t, before: before, after: after, a: saw, b: observe(t, after)}
			for _, held := range []string{pair.sent(rt), pair.same(rt, change.neutral), pair.free(rt), pair.bound(rt)} {
				counts[held]++
			}
		}
	})
	t.Log(counts)
	for _, what := range []string{"equal streams", "equal images", "free", "bound"} {
		if counts[what] == 0 && !testing.Short() { // which has a fifth of the scenes
			t.Errorf("nothing was found out of %s", what)
		}
	}
}

// drawChange changes something of a scene. What changes nothing is tried again.
func drawChange(rt *rapid.T, before *scene) (after *scene, change mutation) {
	for range 4 {
		after, change = before.clone(), drawMutation(rt)
		change.change(rt, after)
		if change.neutral || len(changed(before, after)) > 0 {
			break
		}
	}
	return after, change
}

// pair are two scenes and what came of them.
type pair struct {
	t             *testing.T
	before, after *scene
	a, b          *seen
}

// sent wants equal bytes, and equal pods, of equal keys.
func (p *pair) sent(rt *rapid.T) string {
	held := ""
	for tag, stream := range p.a.streams {
		other, found := p.b.streams[tag]
		if !found {
			continue
		}
		held = "equal streams"
		if !bytes.Equal(stream, other) {
			rt.Errorf("%s is made of %q and of %q", tag, namesIn(p.t, bytes.NewReader(stream)), namesIn(p.t, bytes.NewReader(other)))
		}
	}
	for reference, spec := range p.a.specs {
		if other, found := p.b.specs[reference]; found && spec != other {
			rt.Errorf("%s is made in the pod\n%s\nand in\n%s", reference, spec, other)
		}
	}
	return held
}

// same wants equal images of equal keys, and equal keys where nothing has changed that a
// build can tell.
func (p *pair) same(rt *rapid.T, neutral bool) string {
	switch {
	case neutral && (p.a.whole != p.b.whole || p.a.part != p.b.part || (p.a.err == nil) != (p.b.err == nil)):
		rt.Errorf("the keys are %s, %s and %s, %s, the errors %v and %v", p.a.whole, p.a.part, p.b.whole, p.b.part, p.a.err, p.b.err)
	case p.a.whole == "" || p.a.whole != p.b.whole || p.a.err != nil || p.b.err != nil:
		return ""
	case p.a.digest != p.b.digest:
		rt.Errorf("%s is %s and %s", p.a.whole, p.a.digest, p.b.digest)
	}
	return "equal images"
}

// comparable reports whether the base parts are known to be the same Dockerfile.
func (p *pair) comparable() bool {
	if p.a.part == "" || p.a.err != nil || p.b.err != nil || p.before.dockerfile() != p.after.dockerfile() {
		return false
	}
	return !slices.ContainsFunc(p.before.all(), func(in instruction) bool { return in.add && (p.before.unpacks(in) || p.after.unpacks(in)) })
}

// unpacks reports whether an ADD may come to an archive, and so belong to the base part.
func (s *scene) unpacks(in instruction) bool {
	all := s.sees()
	for name := range s.named(in.sources, true) {
		if strings.HasPrefix(all[name].content, "\x1f") {
			return true
		}
	}
	return false
}

// free wants the key of a base part that names nothing of what has changed to stay.
func (p *pair) free(rt *rapid.T) string {
	if !p.comparable() || p.before.ignore != p.after.ignore {
		return ""
	}
	named := [2]map[string]bool{p.before.named(p.before.copies(), true), p.after.named(p.before.copies(), true)}
	differ := changed(p.before, p.after)
	for name := range differ {
		if named[0][name] || named[1][name] {
			return ""
		}
	}
	if p.a.part != p.b.part {
		rt.Errorf("the base part names none of %q, but its key was %s and is %s", slices.Sorted(maps.Keys(differ)), p.a.part, p.b.part)
	}
	if len(differ) == 0 {
		return "nothing changed"
	}
	return "free"
}

// bound wants the key of a base part to be another where it copies what has other content
// now, another mode or another target.
func (p *pair) bound(rt *rapid.T) string {
	if !p.comparable() {
		return ""
	}
	was, is := p.before.sees(), p.after.sees()
	for name := range p.before.named(sourcesOf(p.before.base()), false) {
		e, found := is[name]
		if !found || was[name] == e || p.before.excluded(p.t, name) || p.after.excluded(p.t, name) {
			continue
		}
		if p.a.part == p.b.part {
			rt.Errorf("the base part copies %s, which has changed, but its key is still %s", name, p.a.part)
		}
		return "bound"
	}
	return ""
}
