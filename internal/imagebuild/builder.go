package imagebuild

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"kiln/internal/cloudlogin"
	"kiln/internal/config"
	"kiln/internal/event"
	"kiln/internal/executor"
	"kiln/internal/kaniko"
	"kiln/internal/metrics"
	"kiln/internal/registry"
)

// Options are what a [Builder] works with.
type Options struct {
	Pods     Pods
	Registry Registry
	// Namespace is where build pods are made.
	Namespace string
	// Settings are what the operator has set of builds.
	Settings Settings
	// Flavor is which Kaniko builds.
	Flavor executor.Flavor
	// Names says how images are called.
	Names registry.Names
	// Mirrors, Insecure and PlainLogin are what gates know of registries.
	Mirrors    registry.Mirrors
	Insecure   []string
	PlainLogin registry.PlainLogins
	// Proxy is how builds reach other hosts.
	Proxy kaniko.Proxy
	// Template is the operator's, or nil.
	Template *kaniko.Template
	// Metrics counts; nil counts nothing.
	Metrics *metrics.Metrics
	// Events tells of builds on the runner pod; nil tells nothing.
	Events *event.Recorder
	// Logger is the operator's log.
	Logger *zap.Logger
}

// Settings are the operator's, of builds. The strings are as in [config.Settings].
type Settings struct {
	// KanikoImage builds, and Executor is Kaniko in it.
	KanikoImage, Executor string
	// BuildRights are Kaniko's, and BuildUserns says whether its pods have user namespaces
	// of their own.
	BuildRights, BuildUserns string
	SnapshotMode             string
	// Tag says whether images are tagged by what they are built from. Those are used again
	// up to ReuseMaxAge.
	Tag         string
	ReuseMaxAge time.Duration
	// Assemble says that what runs nothing is put on top without a build pod. It takes
	// tags by content.
	Assemble bool
	// RegistrySecret, PullSecret and Identity are what gates log in with, and PullAllow the
	// repositories that they pull from so.
	RegistrySecret, PullSecret string
	Identity                   cloudlogin.Identity
	PullAllow                  []string
	CAConfigMap                string
	// BuildMemory and BuildStorage limit Kaniko, as Kubernetes writes quantities.
	BuildMemory, BuildStorage string
	// PendingTimeout bounds the time until a build pod's containers have started, and
	// BuildTimeout the build.
	PendingTimeout, BuildTimeout time.Duration
}

// validate says what is missing or makes no sense.
func (o *Options) validate() error {
	set := o.Settings
	var errs []error
	for _, need := range []struct {
		met  bool
		what string
	}{
		{o.Pods != nil, "no cluster to build in"},
		{o.Registry != nil, "no registries to ask"},
		{o.Namespace != "", "no namespace"},
		{o.Flavor.Name != "", "no Kaniko"},
		{o.Logger != nil, "no log for the operator"},
		{set.KanikoImage != "", "no image of Kaniko"},
		{set.Executor != "", "no executor in it"},
		{set.Tag == config.TagContent || set.Tag == config.TagRandom, "no way to tag images"},
		{slices.Contains([]string{config.UsernsAuto, config.UsernsOn, config.UsernsOff}, set.BuildUserns), "no word on user namespaces"},
		{set.ReuseMaxAge >= 0, "a negative age of images"},
		{set.PendingTimeout > 0, "no time for a build pod to start"},
		{set.BuildTimeout > 0, "no time for a build"},
	} {
		if !need.met {
			errs = append(errs, errors.New("build images: "+need.what))
		}
	}
	return errors.Join(errs...)
}

// Builder makes images. It is safe for concurrent use.
type Builder struct {
	options   Options
	shares    shares
	executors executorMemo
	users     usersMemo
	layers    chan struct{} // one for each layer that is looked into
	wished    chan struct{} // the same for images that no step waits for
}

// New returns a builder; the error names every option that cannot be used.
func New(options Options) (*Builder, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	return &Builder{options: options, layers: make(chan struct{}, maxLayers), wished: make(chan struct{}, 1)}, nil
}

// cleanupTimeout bounds the deletion of a build's objects. It does not end
// with the context of who asked.
const cleanupTimeout = 10 * time.Second

// cleanup deletes one object of the order with a context of its own: that of who
// asked may have ended.
func (o *order) cleanup(what string, remove func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	if err := remove(ctx); err != nil {
		o.builder.options.Metrics.CleanupFailed()
		o.who.Logger.Warn("cleanup failed, the owner reference will collect it", zap.String("what", what), zap.Error(err))
	}
}
