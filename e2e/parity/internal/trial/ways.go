package trial

import (
	"context"
	"errors"
	"strings"
	"time"

	"kiln/e2e/parity/internal/assembled"
	"kiln/e2e/parity/internal/candidate"
	"kiln/e2e/parity/internal/compare"
	"kiln/e2e/parity/internal/corpus"
)

// Splitter is a builder in two parts, as [assembled.Builder] is one.
type Splitter interface {
	Build(ctx context.Context, dockerfile, push string) (parted bool, err error)
}

// dockerBuild is a build of Docker's builder that has ended.
type dockerBuild struct {
	err    error
	took   time.Duration
	image  compare.Image
	copied copied
}

// way is one build of kiln's, nil for none.
type way struct {
	image  string
	err    error
	result Result
}

// ways are the two builds of a case.
type ways struct {
	split, whole *way
}

// ways builds a case in two parts, as one, or both.
func (b *Bench) ways(ctx context.Context, c corpus.Case, dockerfile string) ways {
	var w ways
	parted := false
	if b.Split != nil {
		began := time.Now()
		w.split = &way{image: b.Registry + "/split/" + strings.ToLower(c.ID()) + ":parity"}
		parted, w.split.err = b.Split.Build(ctx, dockerfile, w.split.image)
		w.split.result = Result{Case: c, Split: true, Kiln: time.Since(began)}
	}
	if b.Whole != nil && !(b.Once && parted && w.split.err == nil) {
		began := time.Now()
		w.whole = &way{image: b.Registry + "/kiln/" + strings.ToLower(c.ID()) + ":parity"}
		w.whole.err = b.Whole.Build(ctx, dockerfile, w.whole.image)
		w.whole.result = Result{Case: c, Kiln: time.Since(began)}
	}
	return w
}

// judge decides one way.
func (b *Bench) judge(w *way, docker dockerBuild) error {
	if w == nil {
		return nil
	}
	w.result.Docker = docker.took
	kilnErr := w.err
	if one, is := errors.AsType[*assembled.Whole](w.err); is {
		kilnErr = &candidate.Refusal{Err: one}
	}
	if settled, err := w.result.settle(docker.err, kilnErr); settled || err != nil {
		return err
	}
	kiln, err := b.read(w.image)
	if err != nil {
		return err
	}
	w.result.judge(compare.Images(docker.image, kiln, b.Began), docker.copied)
	return nil
}

// result is that of what kiln does by default.
func (w ways) result() Result {
	if w.whole == nil {
		return w.split.result
	}
	whole := w.whole.result
	got := whole
	if w.split != nil {
		one, isWhole := errors.AsType[*assembled.Whole](w.split.err)
		if !isWhole || one.Part && whole.Declined { // else the executor builds the whole
			got = w.split.result
		}
	}
	got.Whole = &whole
	return got
}
