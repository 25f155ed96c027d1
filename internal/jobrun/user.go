package jobrun

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/action"
	"kiln/internal/hook"
	"kiln/internal/registry"
	"kiln/internal/steplog"
)

// Images tells how the containers of an image start, as [registry.Client] does.
type Images interface {
	StartWith(ctx context.Context, reference, arch string, login *authn.AuthConfig) (registry.Start, error)
	Files
}

// ImageTime is what the registries of all images of a job, those of its services among
// them, have at once to tell of their configurations: a job goes without rather than
// wait for a registry that only the nodes reach.
const ImageTime = 5 * time.Second

// user has the job container run with the group of its image's USER, which the kubelet
// drops (kubernetes/kubernetes#61967) and Docker does not. It does nothing where author
// or operator have chosen a user, and where the image's configuration cannot be read
// here.
func (p *preparation) user(ctx context.Context, pod *corev1.Pod) error {
	container := &pod.Spec.Containers[0]
	if p.runner.options.Images == nil || chosen(pod.Spec.SecurityContext, container.SecurityContext) {
		return nil
	}
	start, err := p.start()
	if err != nil {
		p.call.Logger.Info("the configuration of the job container's image is not known", zap.Error(err))
		p.call.Log.Debug("the configuration of the image is not known, the group of its USER may be lost: %s", steplog.OneLine(err.Error()))
		return nil
	}
	numbers, err := p.numbers(ctx, container.Image, action.ParseUser(start.User))
	if err != nil || numbers == nil {
		return err
	}
	if container.SecurityContext == nil {
		container.SecurityContext = &corev1.SecurityContext{}
	}
	container.SecurityContext.RunAsUser, container.SecurityContext.RunAsGroup = &numbers.User, &numbers.Group
	return nil
}

// look asks what the job container's image says of its start, beside what else is
// prepared, and has start wait for the answer. It ends with ctx.
func (p *preparation) look(ctx context.Context) {
	images := p.runner.options.Images
	if images == nil || p.asked.Container == nil {
		return
	}
	image, login := p.asked.Container.Container.Image, p.login()
	p.start = sync.OnceValues(func() (registry.Start, error) {
		ctx, cancel := context.WithTimeout(ctx, ImageTime)
		defer cancel()
		return images.StartWith(ctx, image, runtime.GOARCH, login)
	})
	go func() { _, _ = p.start() }()
}

// login is the job container's own.
func (p *preparation) login() *authn.AuthConfig { return Login(p.asked.Container.Registry) }

// chosen reports whether a user or a group was chosen for a container.
func chosen(pod *corev1.PodSecurityContext, own *corev1.SecurityContext) bool {
	return pod != nil && (pod.RunAsUser != nil || pod.RunAsGroup != nil) || own != nil && (own.RunAsUser != nil || own.RunAsGroup != nil)
}

// numbers are those of an image's user, nil where the runtime finds them itself and
// where nobody can read them: the job begins on a hosted runner, so that the author is
// told and it begins here. The error is about a name that the image does not have.
func (p *preparation) numbers(ctx context.Context, image string, user action.User) (*action.Numbers, error) {
	var files map[string]string
	if names := user.Files(); len(names) > 0 {
		bounded, cancel := context.WithTimeout(ctx, namesTimeout)
		defer cancel()
		var err error
		if files, err = p.runner.options.Images.FilesWith(bounded, image, runtime.GOARCH, p.login(), names...); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			p.call.Log.Line("::warning::kiln: %s", hook.EscapeData(fmt.Sprintf("the image of the job container has the USER %s: the kubelet drops its group, and kiln does not find out the numbers in /%s: %v; write them, as in options: --user 1001:121",
				steplog.OneLine(user.String()), strings.Join(names, " and /"), err)))
			return nil, nil
		}
	}
	return user.Numbers(files[action.PasswdFile], files[action.GroupFile])
}
