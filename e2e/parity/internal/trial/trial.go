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

// Result is what came of one case: of the way in which kiln builds it by default, which
// is in two parts where it can be split.
type Result struct {
	Case corpus.Case
	// Split says that it was built in two parts.
	Split bool
	// Whole is what came of it built as one, by the executor: of the same build
	// unless Split, and nil where it was not built so.
	Whole   *Result
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

// AsOne returns what came of the case built as one, by the executor, and whether it was
// built so.
func (r Result) AsOne() (result Result, built bool) {
	if r.Whole != nil {
		return *r.Whole, true
	}
	return r, !r.Split
}

// Builder builds a Dockerfile and pushes the image to a reference of the registry. The
// error is a *candidate.Refusal or a *candidate.BuildError where the Dockerfile is at
// fault.
type Builder interface {
	Build(ctx context.Context, dockerfile, push string) error
}

// Bench is what the trials of a run have in common.
type Bench struct {
	Oracle *oracle.Oracle
	// Whole builds cases as one, Split in two parts; one of them may be nil.
	Whole Builder
	Split Splitter
	// Once leaves out the build of the whole where the executor has built the base part
	// and the image came about.
	Once bool
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

// Run tries cases in order, and calls done with each result in turn. One is judged while
// the next is built. An error means that a case could not be tried.
func (b *Bench) Run(ctx context.Context, cases []corpus.Case, done func(Result)) error {
	judged := make(chan error, 1)
	judged <- nil
	for _, c := range cases {
		judge, err := b.build(ctx, c)
		if err = errors.Join(<-judged, err); err != nil {
			return err
		}
		go func() {
			result, err := judge()
			if err == nil {
				done(result)
			}
			judged <- err
		}()
	}
	return <-judged
}

// build builds a case in all ways, and returns what judges them.
func (b *Bench) build(ctx context.Context, c corpus.Case) (judge func() (Result, error), err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", c.ID(), err)
		}
	}()
	dir, err := os.MkdirTemp(b.Dir, "context-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	dockerfile, err := c.Write(dir)
	if err != nil {
		return nil, err
	}
	copied, err := newCopied(dockerfile)
	if err != nil {
		return nil, fmt.Errorf("read the context: %w", err)
	}
	if err := b.serveBases(dockerfile, c); err != nil {
		return nil, err
	}
	docker := b.Registry + "/docker/" + strings.ToLower(c.ID()) + ":parity"
	dockerDone := make(chan dockerBuild, 1)
	go func() {
		began := time.Now()
		err := b.Oracle.Build(ctx, dockerfile, docker)
		dockerDone <- dockerBuild{err: err, took: time.Since(began)}
	}()
	ways := b.ways(ctx, c, dockerfile)
	built := <-dockerDone
	built.copied = copied
	return func() (Result, error) {
		result, err := b.judgeAll(ways, built, docker)
		if err != nil {
			return result, fmt.Errorf("%s: %w", c.ID(), err)
		}
		return result, nil
	}, nil
}

// judgeAll reads Docker's image and decides all ways.
func (b *Bench) judgeAll(all ways, built dockerBuild, docker string) (result Result, err error) {
	if built.err == nil {
		if built.image, err = b.read(docker); err != nil {
			return result, err
		}
	}
	for _, w := range []*way{all.split, all.whole} {
		if err := b.judge(w, built); err != nil {
			return result, err
		}
	}
	return all.result(), nil
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
