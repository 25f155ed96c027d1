package actionrun

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	batchv1 "k8s.io/api/batch/v1"

	"kiln/internal/action"
	"kiln/internal/failure"
	"kiln/internal/registry"
	"kiln/internal/steplog"
)

// startTimeout bounds the look at an image's configuration: a step goes without
// rather than wait for a registry that only the nodes reach.
const startTimeout = 3 * time.Second

// maxSilent bounds how many registries are remembered that did not answer.
const maxSilent = 100

// muteTime is how long a registry that did not answer is left alone.
const muteTime = 5 * time.Minute

// mutes remembers for a while which registries do not answer this daemon: a
// cluster whose nodes alone reach one must not cost every step the time of it. The
// zero value is ready; it is safe for concurrent use.
type mutes struct {
	mu    sync.Mutex
	until map[string]time.Time // by registry
}

// of reports whether the registry did not answer lately.
func (m *mutes) of(registry string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Before(m.until[registry])
}

// note says whether the registry answered.
func (m *mutes) note(registry string, answered bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if answered {
		delete(m.until, registry)
		return
	}
	if m.until == nil || len(m.until) >= maxSilent {
		m.until = map[string]time.Time{}
	}
	m.until[registry] = time.Now().Add(muteTime)
}

// prepareStart does for job what `docker run` does at the start of a container
// and the kubelet does not, and refuses what Docker refuses. It goes by the image's
// configuration, and does nothing where that cannot be read.
func (a *Action) prepareStart(ctx context.Context, image Image, job *batchv1.Job) error {
	start, known := a.startOf(ctx, image)
	if !known {
		return a.openOutlet(job, registry.Start{})
	}
	if !start.Command && a.step.Container.EntryPoint == "" && len(job.Spec.Template.Spec.Containers[0].Args) == 0 {
		return failure.New(failure.ActionFailed, "no command specified: the image of the action %s has neither ENTRYPOINT nor CMD, and the step names none; give the Dockerfile an ENTRYPOINT, or action.yml an entrypoint or args", steplog.OneLine(a.step.Name))
	}
	if err := a.applyUser(ctx, image, job, start.User); err != nil {
		return err
	}
	return a.openOutlet(job, start)
}

// applyUser has the action run as the USER of its image says.
func (a *Action) applyUser(ctx context.Context, image Image, job *batchv1.Job, name string) error {
	if action.Chosen(job) {
		return nil // by the operator
	}
	user := action.ParseUser(name)
	files, err := a.userFiles(ctx, image, user)
	if err != nil {
		return err
	}
	numbers, err := user.Numbers(files[action.PasswdFile], files[action.GroupFile])
	if err != nil {
		return err
	}
	numbers.Apply(job)
	return nil
}

// startOf returns how containers of the image start, if that can be known: of an
// image that kiln has built it is read with the rights to push it, of a ready one
// with those to pull base images. The pull secrets of the runner pod are the
// nodes' alone.
func (a *Action) startOf(ctx context.Context, image Image) (registry.Start, bool) {
	if image.Start != nil {
		return *image.Start, true
	}
	host, err := registry.HostOf(image.Reference)
	if err != nil || a.runner.options.Registry == nil || a.runner.mute.of(host) {
		return registry.Start{}, false
	}
	looking, cancel := context.WithTimeout(ctx, a.runner.startTimeout)
	defer cancel()
	var start registry.Start
	if image.Pushed != "" {
		var found registry.Image
		found, err = a.runner.options.Registry.Image(looking, image.Pushed)
		start = found.Start
	} else {
		start, err = a.runner.options.Registry.Start(looking, image.Reference, runtime.GOARCH)
	}
	lookup, _ := errors.AsType[*registry.LookupError](err)
	if ctx.Err() == nil { // a cancelled step says nothing of the registry
		a.runner.mute.note(host, lookup == nil || lookup.Kind != registry.Unreachable)
	}
	if err != nil {
		a.step.Logger.Info("the configuration of the image is not known", zap.Error(err))
		a.step.Log.Debug("the configuration of the image is not known, the group of its USER may be lost: %s", steplog.OneLine(err.Error()))
		return registry.Start{}, false
	}
	return start, true
}

// userFiles reads the files of the image that tell the numbers of user.
func (a *Action) userFiles(ctx context.Context, image Image, user action.User) (map[string]string, error) {
	names := user.Files()
	if len(names) == 0 {
		return nil, nil
	}
	reference, built := image.Reference, image.Pushed != ""
	if built {
		reference = image.Pushed
	}
	files, err := a.runner.options.Registry.Files(ctx, reference, runtime.GOARCH, built, names...)
	if err != nil {
		return nil, failure.New(failure.UnsupportedInstruction,
			"the image of the action %s has the USER %s: the kubelet drops its group, and kiln does not find out the numbers in /%s: %w; write numbers, as in USER 1001:121",
			steplog.OneLine(a.step.Name), steplog.OneLine(user.String()), strings.Join(names, " and /"), err)
	}
	return files, nil
}
