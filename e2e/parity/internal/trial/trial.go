// Package trial builds one Dockerfile with both builders and says whether they
// agree.
package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kiln/e2e/parity/internal/candidate"
	"kiln/e2e/parity/internal/compare"
	"kiln/e2e/parity/internal/corpus"
	"kiln/e2e/parity/internal/oracle"
	"kiln/e2e/parity/internal/rootfs"
)

// Verdict is a cell of the table.
type Verdict string

// The verdicts.
const (
	// Same: the images do not differ in what is compared, or neither builder
	// makes one.
	Same Verdict = "same"
	// Refused: kiln says before anything is built that it does not build this.
	Refused Verdict = "refused"
	// Differs: all else.
	Differs Verdict = "differs"
)

// Result is what came of one case.
type Result struct {
	Case    corpus.Case
	Verdict Verdict
	// Declined says that kiln did not begin to build, whatever Docker makes of it.
	Declined bool
	// Note is the reason of a refusal or of a build that failed, one line.
	Note string
	// Details are lines for whoever looks into a difference.
	Details []string
	// Differences name what differs by path and attribute, or which builder alone
	// makes an image. There is one at least where the verdict is Differs.
	Differences []string
	// LostTimes is the number of copied files that did not keep their time.
	LostTimes int
	// Docker and Kiln are the times that the builds took.
	Docker, Kiln time.Duration
}

// Builder builds a Dockerfile and pushes the image to a reference of the registry. The
// error is a *candidate.Refusal or a *candidate.BuildError where the Dockerfile is at
// fault.
type Builder interface {
	Build(ctx context.Context, dockerfile, push string) error
}

// Bench is what the trials of a run have in common. Trials run one after the
// other.
type Bench struct {
	Oracle *oracle.Oracle
	Kiln   Builder
	// Dir is an existing directory for contexts.
	Dir string
	// Registry is the address of the registry.
	Registry string
	// Busybox and Debian are the whole bases.
	Busybox, Debian v1.Image
	// Began is when the run began.
	Began time.Time

	reader rootfs.Reader
}

// Run tries one case. An error means that it could not be tried.
func (b *Bench) Run(ctx context.Context, c corpus.Case) (result Result, err error) {
	result.Case = c
	dir, err := os.MkdirTemp(b.Dir, "context-")
	if err != nil {
		return result, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	dockerfile, err := c.Write(dir)
	if err != nil {
		return result, err
	}
	copied, err := newCopied(dockerfile)
	if err != nil {
		return result, fmt.Errorf("read the context of %s: %w", c.ID(), err)
	}
	if err := b.serveBases(dockerfile, c); err != nil {
		return result, err
	}
	docker := b.Registry + "/docker/" + strings.ToLower(c.ID()) + ":parity"
	kiln := b.Registry + "/kiln/" + strings.ToLower(c.ID()) + ":parity"
	dockerDone := make(chan error, 1)
	go func() {
		began := time.Now()
		err := b.Oracle.Build(ctx, dockerfile, docker)
		result.Docker = time.Since(began)
		dockerDone <- err
	}()
	began := time.Now()
	kilnErr := b.Kiln.Build(ctx, dockerfile, kiln)
	result.Kiln = time.Since(began)
	dockerErr := <-dockerDone
	if settled, err := result.settle(dockerErr, kilnErr); settled || err != nil {
		return result, err
	}
	differences, err := b.compare(docker, kiln)
	result.judge(differences, copied)
	return result, err
}

// judge decides a case in which both builds made an image.
func (r *Result) judge(differences []compare.Difference, copied copied) {
	r.Verdict = Same
	for _, difference := range differences {
		if copied.lost(difference) {
			r.LostTimes++
			continue
		}
		r.Verdict = Differs
		r.Details = append(r.Details, difference.String())
		r.Differences = append(r.Differences, difference.Where+": "+difference.Attribute)
	}
	if r.Verdict == Differs {
		r.Note = r.Details[0]
	}
}

// settle decides a case in which not both builds made an image.
func (r *Result) settle(docker, kiln error) (settled bool, err error) {
	dockerFailed, isDocker := errors.AsType[*oracle.BuildError](docker)
	kilnFailed, isKiln := errors.AsType[*candidate.BuildError](kiln)
	refusal, isRefusal := errors.AsType[*candidate.Refusal](kiln)
	r.Declined = isRefusal
	switch {
	case docker != nil && !isDocker || kiln != nil && !isKiln && !isRefusal:
		return true, errors.Join(docker, kiln)
	case docker == nil && kiln == nil:
		return false, nil
	case docker != nil && kiln != nil:
		r.Verdict, r.Note = Same, "neither builds it: "+dockerFailed.Reason
		r.Details = []string{"kiln: " + kiln.Error()}
	case isRefusal:
		r.Verdict, r.Note = Refused, refusal.Error()
	case isKiln:
		r.alone("only Docker builds it", kilnFailed.Reason, kilnFailed.Output)
	default:
		r.alone("only kiln builds it", dockerFailed.Reason, dockerFailed.Output)
	}
	return true, nil
}

// alone decides a case that one builder cannot build.
func (r *Result) alone(which, reason, output string) {
	r.Verdict, r.Note = Differs, which+": "+reason
	r.Details, r.Differences = []string{output}, []string{which}
}

func (b *Bench) compare(docker, kiln string) ([]compare.Difference, error) {
	dockerImage, err := b.read(docker)
	if err != nil {
		return nil, err
	}
	kilnImage, err := b.read(kiln)
	if err != nil {
		return nil, err
	}
	return compare.Images(dockerImage, kilnImage, b.Began), nil
}

// read takes an image from the registry.
func (b *Bench) read(reference string) (compare.Image, error) {
	tag, err := name.NewTag(reference)
	if err != nil {
		return compare.Image{}, err
	}
	img, err := remote.Image(tag)
	if err != nil {
		return compare.Image{}, fmt.Errorf("read %s: %w", reference, err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return compare.Image{}, fmt.Errorf("read %s: %w", reference, err)
	}
	tree, err := b.reader.Read(img)
	if err != nil {
		return compare.Image{}, fmt.Errorf("read %s: %w", reference, err)
	}
	raw, err := img.RawConfigFile()
	if err != nil {
		return compare.Image{}, fmt.Errorf("read %s: %w", reference, err)
	}
	var whole struct {
		Config struct{ Healthcheck map[string]any }
	}
	if err := json.Unmarshal(raw, &whole); err != nil {
		return compare.Image{}, fmt.Errorf("read the configuration of %s: %w", reference, err)
	}
	return compare.Image{
		Tree: tree, Platform: file.OS + "/" + file.Architecture,
		Config: file.Config, Healthcheck: whole.Config.Healthcheck,
	}, nil
}
