package request

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/action"
	"kiln/internal/ahead"
	"kiln/internal/config"
	"kiln/internal/executor"
	"kiln/internal/hook"
	"kiln/internal/imagebuild"
	"kiln/internal/kaniko"
	"kiln/internal/metrics"
	"kiln/internal/podtest"
	"kiln/internal/registry"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
)

const (
	builder = kaniko.ContainerKaniko
	gate    = kaniko.ContainerGate
	job     = action.ContainerName
)

// stage is a daemon beside a cluster and registries, with steps for it.
type stage struct {
	t        *testing.T
	cluster  *podtest.Cluster
	registry *podtest.Registry
	client   podtest.Client
	settings config.Settings
	state    *spool.State
	handler  *Handler
	counted  *metrics.Metrics
	builds   int          // pods that were built in
	takes    atomic.Int64 // a build, in nanoseconds
	// exchange is where the exchange of the last step is.
	exchange string
	// act is what happens in an action's pod.
	act func(*podtest.Life)
}

// newStage makes one in which builds go well and actions end with 0.
func newStage(t *testing.T, faults podtest.Faults) *stage {
	t.Helper()
	s := &stage{t: t, cluster: podtest.New(t, "ci", aRunner()), registry: podtest.NewRegistry()}
	s.act = ends(0)
	s.takes.Store(int64(5 * time.Second))
	s.cluster.Run = s.live
	s.registry.Put("base.example.com/base:1", podtest.Image{Config: v1.Config{Cmd: []string{"sh"}}})
	s.registry.Put(config.KanikoImage, podtest.Image{})
	s.client = s.cluster.Client(t, faults)
	var err error
	s.state, err = spool.OpenState(t.TempDir())
	s.must(err)
	s.settings = config.Settings{
		KanikoImage: config.KanikoImage, Executor: "/kaniko/executor", SnapshotMode: "full", Tag: config.TagContent,
		BuildRights: "docker", BuildUserns: config.UsernsOff, BuildMemory: "1Gi", BuildStorage: "1Gi", Placement: config.PlacementSameNode,
		PendingTimeout: 2 * time.Minute, BuildTimeout: 3 * time.Minute, ReuseMaxAge: time.Hour, ContextMaxBytes: 1 << 20, ContextMaxEntries: 10,
	}
	s.handler = s.newHandler()
	return s
}

// newHandler is the daemon's.
func (s *stage) newHandler() *Handler {
	s.t.Helper()
	names, err := registry.NewNames("registry.example.com/ci", "", "")
	s.must(err)
	options := Options{
		Operator: Operator{
			Settings: &s.settings, Names: names, Registry: s.registry.Client(nil),
			Flavor: executor.Flavor{Name: executor.Osscontainertools, Version: "1.28"},
		},
		Pods: s.client.Client, Runner: &runnerpod.Reader{Pods: s.client, PodName: "runner-1"}, State: s.state, Metrics: s.counted, Logger: zap.NewNop(),
	}
	handler, err := New(options)
	s.must(err)
	// The client's attach leads into the cluster in memory.
	of := buildOptions(options, ahead.Pods{Cluster: s.client, Builds: handler.ahead})
	handler.builds, err = imagebuild.New(of)
	s.must(err)
	return handler
}

// must ends the test with an error.
func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// aRunner is the pod that the daemon is in.
func aRunner() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "runner-1", UID: "runner-uid"},
		Spec: corev1.PodSpec{
			NodeName: podtest.Node,
			Containers: []corev1.Container{
				{Name: "kiln", Image: "registry.example.com/kiln:1"},
				{Name: "runner", VolumeMounts: []corev1.VolumeMount{{Name: "work", MountPath: "/home/runner/_work"}}},
			},
			Volumes: []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "runner-1-work"},
			}}},
		},
	}
}

// ends is an action that says something and ends with that code.
func ends(code int32) func(*podtest.Life) {
	return func(life *podtest.Life) {
		life.Start(job)
		life.Print(job, "hello")
		life.Exit(job, code)
	}
}

// live is what happens in each pod.
func (s *stage) live(life *podtest.Life) {
	pod := life.Pod()
	switch {
	case pod.Name == "runner-1" || !life.Wait(time.Second):
	case pod.Spec.Containers[0].Name == job:
		s.act(life)
	default:
		s.build(life)
	}
}

// build is what happens in a build pod.
func (s *stage) build(life *podtest.Life) {
	s.builds++
	life.Start(gate)
	life.Print(gate, "listening")
	life.Start(builder)
	if _, ok := life.Input(builder); !ok {
		return
	}
	life.Print(builder, `{"level":"info","msg":"Retrieving image manifest base.example.com/base:1","time":"t"}`)
	if !life.Wait(time.Duration(s.takes.Load())) {
		return
	}
	for _, container := range life.Pod().Spec.Containers {
		for _, arg := range container.Args {
			if reference, found := strings.CutPrefix(arg, "--push="); found {
				digest := s.registry.Put(reference, podtest.Image{Created: time.Now(), Config: v1.Config{Cmd: []string{"/app"}}})
				life.Print(gate, "pushed "+digest)
			}
		}
	}
	life.Exit(builder, 0)
	life.Exit(gate, 0)
}

// staged is the context of a Dockerfile alone.
func staged(t *testing.T, dockerfile string) []byte {
	t.Helper()
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	err := errors.Join(
		archive.WriteHeader(&tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}),
		archive.WriteHeader(&tar.Header{Name: "Dockerfile", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(dockerfile))}),
	)
	_, writeErr := io.WriteString(archive, dockerfile)
	if err := errors.Join(err, writeErr, archive.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// answer is how a step ended and what its author read.
type answer struct {
	code int
	log  string
}

// step hands a step over, with a context where it has one, and carries it out.
func (s *stage) step(ctx context.Context, container hook.Container, archive []byte) answer {
	s.t.Helper()
	args, err := json.Marshal(container)
	s.must(err)
	s.exchange = s.t.TempDir()
	exchange, err := spool.Open(s.exchange)
	s.must(err)
	defer exchange.Close()
	s.must(exchange.Init())
	draft, err := exchange.NewDraft()
	s.must(err)
	defer draft.Remove()
	request := spool.Request{Workspace: "/home/runner/_work/app/app", Args: args}
	if container.Dockerfile != "" {
		request.Dockerfile, request.Path = "Dockerfile", container.Dockerfile
		s.must(draft.WriteContext(func(w io.Writer) error { _, err := w.Write(archive); return err }))
	}
	s.must(draft.Drop(request))
	claim, err := exchange.Claim(draft.ID, 1<<20)
	s.must(err)
	defer claim.Close()
	s.must(s.state.Accept(claim.ID))
	code := s.handler.Handle(ctx, claim)
	s.must(claim.Finish(code))
	var log bytes.Buffer
	s.must(draft.Print(&log))
	s.must(s.state.Forget(claim.ID))
	return answer{code, log.String()}
}

// ready is a step with a ready image, and built one with a Dockerfile.
func ready() hook.Container {
	return hook.Container{
		Image: "base.example.com/base:1", EntryPoint: "/run", WorkingDirectory: "/github/workspace",
		SystemMountVolumes: []hook.Mount{{SourceVolumePath: "/home/runner/_work/app/app", TargetVolumePath: "/github/workspace"}},
	}
}

func built() hook.Container {
	container := ready()
	container.Image, container.Dockerfile = "", "/home/runner/_work/_actions/acme/lint/v1/Dockerfile"
	return container
}

// left is what the cluster holds beside the runner pod.
func (s *stage) left() string {
	return strings.TrimPrefix(strings.Join(s.cluster.Names(), " "), "pods/runner-1")
}
