package request

import (
	"context"
	"errors"
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
	m.until[registry] = time.Now().Add(executorRetry)
}

// prepareStart does for job what `docker run` does at the start of a container
// and the kubelet does not, and refuses what Docker refuses. It goes by the image's
// configuration, and does nothing where that cannot be read.
func (s *step) prepareStart(ctx context.Context, ready image, job *batchv1.Job) error {
	start, known := s.startOf(ctx, ready)
	if !known {
		return nil
	}
	if !start.Command && s.container.EntryPoint == "" && len(job.Spec.Template.Spec.Containers[0].Args) == 0 {
		return failure.New(failure.ActionFailed, "no command specified: the image of the action %s has neither ENTRYPOINT nor CMD, and the step names none; give the Dockerfile an ENTRYPOINT, or action.yml an entrypoint or args", steplog.OneLine(s.actionName()))
	}
	if action.Chosen(job) {
		return nil // by the operator
	}
	user := action.ParseUser(start.User)
	files, err := s.userFiles(ctx, ready, user)
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
func (s *step) startOf(ctx context.Context, ready image) (registry.Start, bool) {
	if ready.start != nil {
		return *ready.start, true
	}
	host, err := registry.HostOf(ready.reference)
	if err != nil || s.handler.Registry == nil || s.handler.mute.of(host) {
		return registry.Start{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var start registry.Start
	if s.planned != nil {
		var found registry.Image
		found, err = s.handler.Registry.Image(ctx, s.pushed(ready))
		start = found.Start
	} else {
		start, err = s.handler.Registry.Start(ctx, ready.reference, arch)
	}
	lookup, _ := errors.AsType[*registry.LookupError](err)
	s.handler.mute.note(host, lookup == nil || lookup.Kind != registry.Unreachable)
	if err != nil {
		s.logger.Info("the configuration of the image is not known", zap.Error(err))
		s.log.Debug("the configuration of the image is not known, the group of its USER may be lost: %s", steplog.OneLine(err.Error()))
		return registry.Start{}, false
	}
	return start, true
}

// pushed is the reference by digest of an image that kiln has built, where it was
// pushed to.
func (s *step) pushed(ready image) string {
	_, digest, _ := strings.Cut(ready.reference, "@")
	return repository(s.planned.push) + "@" + digest
}

// userFiles reads the files of the image that tell the numbers of user.
func (s *step) userFiles(ctx context.Context, ready image, user action.User) (map[string]string, error) {
	names := user.Files()
	if len(names) == 0 {
		return nil, nil
	}
	reference, built := ready.reference, s.planned != nil
	if built {
		reference = s.pushed(ready)
	}
	files, err := s.handler.Registry.Files(ctx, reference, arch, built, names...)
	if err != nil {
		return nil, failure.New(failure.UnsupportedInstruction,
			"the image of the action %s has the USER %s: the kubelet drops its group, and kiln does not find out the numbers in /%s: %w; write numbers, as in USER 1001:121",
			steplog.OneLine(s.actionName()), steplog.OneLine(user.String()), strings.Join(names, " and /"), err)
	}
	return files, nil
}
