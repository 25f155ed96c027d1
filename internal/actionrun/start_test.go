package actionrun

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	handler "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kiln/internal/action"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/kube/kubetest"
	"kiln/internal/registry"
)

// TestPrepareStart reads the configuration of a ready image and does what the
// kubelet leaves out.
func TestPrepareStart(t *testing.T) {
	server := httptest.NewServer(handler.New(handler.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	type numbers = action.Numbers
	for tag, tt := range map[string]struct {
		config    v1.Config
		container hook.Container
		want      *numbers
		reason    failure.Reason
		says      string
	}{
		"numbers":     {v1.Config{User: "1001:121", Cmd: []string{"id"}}, hook.Container{}, &numbers{User: 1001, Group: 121}, "", ""},
		"user":        {v1.Config{User: "1001", Entrypoint: []string{"id"}}, hook.Container{}, nil, "", ""},
		"no-command":  {v1.Config{}, hook.Container{}, nil, failure.ActionFailed, "no command specified"},
		"entrypoint":  {v1.Config{}, hook.Container{EntryPoint: "/run"}, nil, "", ""},
		"arguments":   {v1.Config{}, hook.Container{EntryPointArgs: []string{"id"}}, nil, "", ""},
		"not-to-know": {v1.Config{User: "daemon:audio", Cmd: []string{"id"}}, hook.Container{}, nil, failure.UnsupportedInstruction, "has the USER daemon:audio: the kubelet drops its group"},
	} {
		t.Run(tag, func(t *testing.T) {
			reference := host + "/app:" + tag
			push(t, reference, tt.config)
			a := anAction(t, hostileID, kubetest.New())
			a.runner.options.Registry = registry.NewClient(registry.ClientConfig{Insecure: []string{host}})
			a.runner.startTimeout = time.Hour
			a.step.Container = tt.container
			a.step.Container.Image = reference
			job, err := action.Job(a.spec("kiln-x", Image{Reference: reference}))
			if err != nil {
				t.Fatal(err)
			}
			err = a.prepareStart(t.Context(), Image{Reference: reference}, job)
			if failure.Of(err) != tt.reason || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error = %q %v, want %q %q", failure.Of(err), err, tt.reason, tt.says)
			}
			var got *numbers
			if security := job.Spec.Template.Spec.Containers[0].SecurityContext; security != nil {
				got = &numbers{User: *security.RunAsUser, Group: *security.RunAsGroup}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
		})
	}
}

// push puts an image with one layer that is no archive and the configuration into
// a registry.
func push(t *testing.T, reference string, config v1.Config) {
	t.Helper()
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, Config: config})
	if err == nil {
		img, err = mutate.AppendLayers(img, static.NewLayer([]byte("not an archive"), types.DockerLayer))
	}
	if err == nil {
		err = remote.Write(ref, img)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestPrepareStartGoesWithout: a registry that does not answer costs no step, and
// is not asked by the next.
func TestPrepareStartGoesWithout(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	a := anAction(t, hostileID, kubetest.New())
	a.runner.options.Registry = registry.NewClient(registry.ClientConfig{Insecure: []string{host}})
	a.runner.startTimeout = time.Hour
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, known := a.startOf(cancelled, Image{Reference: host + "/app"}); known || a.runner.mute.of(host) {
		t.Error("a cancelled step said something of the registry")
	}
	job, err := action.Job(a.spec("kiln-x", Image{Reference: host + "/app"}))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		before := asked.Load()
		if err := a.prepareStart(t.Context(), Image{Reference: host + "/app"}, job); err != nil {
			t.Error(err)
		}
		if after := asked.Load(); before > 0 && after > before {
			t.Errorf("the registry was asked %d times more", after-before)
		}
	}
	if asked.Load() == 0 || job.Spec.Template.Spec.Containers[0].SecurityContext != nil {
		t.Errorf("asked %d times, security context %+v", asked.Load(), job.Spec.Template.Spec.Containers[0].SecurityContext)
	}
}
