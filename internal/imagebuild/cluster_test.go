package imagebuild_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/buildcontext"
	"kiln/internal/config"
	"kiln/internal/executor"
	"kiln/internal/failure"
	"kiln/internal/imagebuild"
	"kiln/internal/kaniko"
	"kiln/internal/podtest"
	"kiln/internal/registry"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

const (
	builder    = kaniko.ContainerKaniko
	gate       = kaniko.ContainerGate
	dockerfile = "FROM base.example.com/base:1\nRUN make\n"
	// forged is a digest that a build prints, and that the registry never saw.
	forged = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
)

// The moments of a build in its pod, in order.
const (
	created   = "created"
	listening = "listening" // the gate is, Kaniko has not started
	waiting   = "waiting"   // Kaniko does, for the context
	begun     = "begun"     // Kaniko has the context
	running   = "running"   // a RUN is
	pushed    = "pushed"    // the gate has said so
)

// world is a cluster with registries, and a Dockerfile that some want built.
type world struct {
	t        *testing.T
	flavor   executor.Flavor
	cluster  *podtest.Cluster
	registry *podtest.Registry
	source   imagebuild.Source
	context  []byte // its canonical tar
	settings imagebuild.Settings
	made     podtest.Image // what pods build
	madeAt   time.Time     // when they build it; zero is when they do
	// at is called in the goroutine of the pod at each moment of its build, and
	// reports whether the build goes on; nil lets it.
	at func(life *podtest.Life, pod int, moment string) bool

	mu       sync.Mutex
	pods     int                 // how many were made
	contexts [][]byte            // that were received whole, or what came of them
	digests  []string            // of what gates pushed
	streams  map[string][][]byte // the same contexts, by what is made of them
	company  bool                // another runner wants the image too
}

// newWorld returns one in which builds go well.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, cluster: podtest.New(t, "ci"), registry: podtest.NewRegistry(), streams: map[string][][]byte{}}
	w.cluster.Run = w.build
	w.registry.Put("base.example.com/base:1", podtest.Image{Config: v1.Config{Cmd: []string{"sh"}}})
	w.registry.Put(config.KanikoImage, podtest.Image{})
	w.settings = imagebuild.Settings{
		KanikoImage: config.KanikoImage, Executor: "/kaniko/executor", SnapshotMode: "full", Tag: config.TagContent,
		BuildRights: "docker", BuildUserns: config.UsernsOff, BuildMemory: "1Gi", BuildStorage: "1Gi",
		PendingTimeout: 2 * time.Minute, BuildTimeout: 3 * time.Minute, ReuseMaxAge: time.Hour,
	}
	w.made = podtest.Image{Config: v1.Config{Cmd: []string{"/app"}}}
	w.stage(dockerfile, "main.c", "int main;")
	return w
}

// must ends the test with an error.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// stage writes the context: a Dockerfile and other files, by name and content.
func (w *world) stage(dockerfile string, files ...string) {
	w.t.Helper()
	var staged, canonical bytes.Buffer
	archive := tar.NewWriter(&staged)
	files = append([]string{"Dockerfile", dockerfile}, files...)
	for i := 0; i < len(files); i += 2 {
		head := &tar.Header{Name: files[i], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[i+1]))}
		if strings.HasSuffix(head.Name, "/") {
			head.Typeflag = tar.TypeDir
		}
		w.must(archive.WriteHeader(head))
		_, err := archive.Write([]byte(files[i+1]))
		w.must(err)
	}
	w.must(archive.Close())
	summary, tree, err := buildcontext.CanonicalTree(&canonical, &staged, buildcontext.Limits{Bytes: 1 << 20, Entries: 10})
	w.must(err)
	path := filepath.Join(w.t.TempDir(), "context.tar.gz")
	w.must(os.WriteFile(path, canonical.Bytes(), 0o600))
	w.context = canonical.Bytes()
	w.source = imagebuild.Source{
		Dockerfile: "Dockerfile", Text: []byte(dockerfile), Place: steplog.Place{File: "Dockerfile", Local: true}, Workspace: "/w/app/app",
		Context: imagebuild.Context{Path: path, Digest: summary.Digest, Tree: tree},
	}
}

// says prints one of Kaniko's own lines.
func says(life *podtest.Life, message string) {
	life.Print(builder, `{"level":"info","msg":"`+message+`","time":"t"}`)
}

// build is what happens in a build pod.
func (w *world) build(life *podtest.Life) {
	w.mu.Lock()
	w.pods++
	pod := w.pods
	w.mu.Unlock()
	on := func(moment string, after time.Duration) bool {
		if life.Wait(after) && (w.at == nil || w.at(life, pod, moment)) {
			return true
		}
		return false
	}
	if !on(created, time.Second) {
		return
	}
	life.Start(gate)
	life.Print(gate, "listening")
	if !on(listening, time.Second) {
		return
	}
	life.Start(builder)
	if !on(waiting, 0) {
		return
	}
	input, ok := life.Input(builder)
	if !ok {
		return
	}
	w.mu.Lock()
	w.contexts = append(w.contexts, input)
	w.streams[pushOf(life.Pod())] = append(w.streams[pushOf(life.Pod())], input)
	w.mu.Unlock()
	if !w.settings.Assemble && !bytes.HasSuffix(input, w.context) {
		life.Print(builder, "error building image: unpacking the context: unexpected EOF")
		life.Exit(builder, 1)
		return
	}
	says(life, "Retrieving image manifest base.example.com/base:1")
	if !on(begun, 2*time.Second) {
		return
	}
	says(life, "Building stage 'base.example.com/base:1' [idx: '0', base-idx: '-1']")
	says(life, "RUN make")
	life.Print(builder, "making")
	if !on(running, 5*time.Second) {
		return
	}
	life.Print(gate, "pushed "+w.push(life.Pod(), time.Now()))
	says(life, "Pushed 127.0.0.1:5001/registry__example__com/app@"+forged)
	if on(pushed, 100*time.Millisecond) {
		life.Exit(builder, 0)
		life.Exit(gate, 0)
	}
}

// push puts what a pod builds into the registry and returns its digest.
func (w *world) push(pod *corev1.Pod, made time.Time) string {
	image := w.made
	if image.Created = made; !w.madeAt.IsZero() {
		image.Created = w.madeAt
	}
	digest := w.registry.Put(pushOf(pod), image)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.digests = append(w.digests, digest)
	return digest
}

// pushOf is what the gate of a pod pushes.
func pushOf(pod *corev1.Pod) string {
	for _, container := range pod.Spec.Containers {
		for _, arg := range container.Args {
			if reference, found := strings.CutPrefix(arg, "--push="); found {
				return reference
			}
		}
	}
	panic("the gate of the pod pushes nothing")
}

// runner is a daemon that wants the image.
type runner struct {
	world   *world
	self    runnerpod.Self
	client  podtest.Client
	builder *imagebuild.Builder
	log     strings.Builder
}

// runner returns one with faults of its own.
func (w *world) runner(name string, faults, lookups podtest.Faults) *runner {
	w.t.Helper()
	r := &runner{
		world: w, client: w.cluster.Client(w.t, faults),
		self: runnerpod.Self{Name: name, UID: "uid-of-" + name, NodeName: podtest.Node, Image: "registry.example.com/kiln:1"},
	}
	names, err := registry.NewNames("registry.example.com/ci", "", "")
	w.must(err)
	r.builder, err = imagebuild.New(imagebuild.Options{
		Pods: r.client, Registry: w.registry.Client(lookups), Namespace: "ci", Settings: w.settings, Names: names,
		Flavor: cmp.Or(w.flavor, executor.Flavor{Name: executor.Osscontainertools, Version: "1.28"}),
		Logger: zap.NewNop(),
	})
	w.must(err)
	return r
}

// image has the image made, and says how that ended: "built", "followed", "reused", or
// the class of the error.
func (r *runner) image(ctx context.Context) (string, error) {
	return r.ask(ctx, imagebuild.Asker{
		ID: spool.NewID(), Runner: r.self, Owner: r.self.Owner(),
		Log: steplog.New(&r.log, "", false), Times: steplog.NewTimes(nil), Logger: zap.NewNop(),
	})
}

// ask is image for somebody.
func (r *runner) ask(ctx context.Context, who imagebuild.Asker) (string, error) {
	source := r.world.source
	image, err := r.builder.Image(ctx, &source, who)
	if err != nil {
		return string(failure.Of(cmp.Or(context.Cause(ctx), err))), err
	}
	_, digest, _ := strings.Cut(image.Reference, "@")
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	if !slices.Contains(r.world.digests, digest) {
		return "forged " + image.Reference, nil
	}
	switch {
	case image.Reused != "":
		return "reused", nil
	case image.Followed:
		return "followed", nil
	}
	return "built", nil
}

// die ends a runner as the loss of its node does: nothing that it asks for arrives any
// more, and the garbage collector finds that it is gone.
type mortal struct {
	mu   sync.Mutex
	dead bool
}

// faults are those of a client that may die.
func (m *mortal) faults(podtest.Call) podtest.Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return podtest.Lost()
	}
	return podtest.Fault{}
}

// die is the end of the runner.
func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

// errCancelled is why a step ends early.
var errCancelled = failure.New(failure.Cancelled, "the step was cancelled")

// ending is what the world has seen when all is over.
type ending struct {
	Outcomes string // of the runners, in order
	Pods     int    // made
	Contexts int    // sent whole
	Left     string // in the cluster
}

// ending waits for what is still to be removed.
func (w *world) ending(outcomes ...string) ending {
	time.Sleep(time.Minute)
	w.mu.Lock()
	defer w.mu.Unlock()
	whole := 0
	for _, input := range w.contexts {
		if bytes.HasSuffix(input, w.context) {
			whole++
		}
	}
	return ending{Outcomes: strings.Join(outcomes, " "), Pods: w.pods, Contexts: whole, Left: strings.Join(w.cluster.Names(), " ")}
}
