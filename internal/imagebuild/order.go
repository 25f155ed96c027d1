package imagebuild

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/buildcontext"
	"kiln/internal/hook"
	"kiln/internal/kaniko"
	"kiln/internal/label"
	"kiln/internal/podrun"
	"kiln/internal/registry"
	"kiln/internal/runnerpod"
	"kiln/internal/steplog"
)

// Source is a Dockerfile with its context.
type Source struct {
	// Dockerfile is the file's path in the context, and Text what it says.
	Dockerfile string
	Text       []byte
	// Place is the file as the author knows it.
	Place steplog.Place
	// Workspace is the checkout that it is built for; its name is the image's.
	Workspace string
	// Context is what the Dockerfile may copy.
	Context Context
}

// Context is kiln's own copy of a build context, which nothing changes any more.
type Context struct {
	// Path is the file with the canonical tar, and Digest that of its content.
	Path, Digest string
	// Tree lists it. A tree can be large: it is let go of after the first look.
	Tree *buildcontext.Tree
}

// Asker is who wants an image, and whom it is told.
type Asker struct {
	// ID is the request's, or one that no request has.
	ID string
	// Environment is that of the step, for labels.
	Environment hook.Environment
	// Runner is what build pods inherit; its Name tells followers who began a build.
	Runner runnerpod.Self
	// Owner is with whom build pods go. Without a UID a Job that runs nothing is
	// made for the time of the build.
	Owner metav1.OwnerReference
	// Ahead says that no step waits for the image: it is built for one that may come, and
	// counts as no step's.
	Ahead bool
	// Log is the author's, Times are the step's, Logger is the operator's log of it.
	Log    *steplog.Log
	Times  *steplog.Times
	Logger *zap.Logger
	// Begun is how far an earlier run of the daemon came with the order. Note, unless
	// it is nil, remembers that for a later one.
	Begun Begun
	Note  func(Begun)
}

// Image is an image that is ready to run.
type Image struct {
	// Reference is by digest, as nodes pull it; Pushed is by digest where it was
	// pushed.
	Reference, Pushed string
	// Reused says when it was built, where it was not for this order.
	Reused string
	// Followed says that another step built it, while this one waited.
	Followed bool
	// Start is how its containers start; nil where that is not known yet.
	Start *registry.Start

	order *order
}

// order is an image that somebody asks for, on its way. It belongs to the goroutine of
// who asks.
type order struct {
	builder *Builder
	who     Asker
	source  Source
	plan    *plan
	owner   metav1.OwnerReference // with whom build pods go
	standIn podrun.Object         // the owner, where it was made for this order alone
	missing string                // the digest of an image that the nodes do not find
	begun   Begun
	part    bool              // it is the base part of another order's image
	indexed []string          // the layers of which the gate keeps indexes where they are pulled
	digests map[string]string // of images that the other order names, by reference
	steps   int               // that its build has shown
}

// labels returns the labels of an object that is made for the order.
func (o *order) labels(role string) map[string]string {
	return label.Of(o.who.Environment, o.who.ID, role)
}

// readIgnore takes the .dockerignore out of the context.
func (o *order) readIgnore() ([]byte, error) {
	const what = "the .dockerignore"
	file, err := os.Open(o.source.Context.Path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	defer file.Close()
	data, err := buildcontext.ReadIgnore(file, o.source.Dockerfile)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return data, nil
}

// readTree lists the context.
func (o *order) readTree() (*buildcontext.Tree, error) {
	file, err := os.Open(o.source.Context.Path)
	if err != nil {
		return nil, fmt.Errorf("list the build context: %w", err)
	}
	defer file.Close()
	tree, err := buildcontext.ReadTree(bufio.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("list the build context: %w", err)
	}
	return tree, nil
}

// attach is how a context is sent: [podrun.Client.Attach] or Knock.
type attach func(ctx context.Context, pod, container string, stdin io.Reader) error

// send streams the plan's head and the context to Kaniko, which takes them for one
// archive.
func (o *order) send(ctx context.Context, pod string, by attach) error {
	file, err := os.Open(o.source.Context.Path)
	if err != nil {
		return fmt.Errorf("read the build context: %w", err)
	}
	defer file.Close()
	return by(ctx, pod, kaniko.ContainerKaniko, io.MultiReader(bytes.NewReader(o.plan.head), file))
}
