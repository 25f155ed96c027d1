package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
)

// fileWish says what is wished for.
const fileWish = "wish.json"

// maxWishBytes bounds wish.json.
const maxWishBytes = 64 << 10

// MaxWishes is how many wishes a job has at most.
const MaxWishes = 20

// Wish is what the shim asks of the daemon before anybody waits for it: an image that a
// step of this job may want. All of it is untrusted.
type Wish struct {
	// Version is the protocol's, see [Version].
	Version int `json:"version"`
	// Dockerfile, Path and Workspace are as in [Request].
	Dockerfile string `json:"dockerfile"`
	Path       string `json:"path"`
	Workspace  string `json:"workspace"`
	// Env are the variables of the job by which its objects are labelled.
	Env map[string]string `json:"env,omitempty"`
}

// jobDigits is the length of what tells the wishes of one job from those of another.
const jobDigits = 24

// NewWishJob returns what the ids of the wishes of one job begin with, and of no other.
func NewWishJob() string { return NewID()[:jobDigits] }

// WishID is the id of the wish of a job with that rank, from 0 on: of two ids of one job
// the lesser one is wanted first.
func WishID(job string, rank int) string { return fmt.Sprintf("%s%02d", job, rank) }

// ParseWishID returns the job and the rank of a wish; false for an id of another form and
// for a rank that no wish has.
func ParseWishID(id string) (job string, rank int, ok bool) {
	if !ValidID(id) || len(id) != jobDigits+2 {
		return "", 0, false
	}
	rank, err := strconv.Atoi(id[jobDigits:])
	if err != nil || rank >= MaxWishes {
		return "", 0, false
	}
	return id[:jobDigits], rank, true
}

// JobBegins reports whether an id among the wishes is none but the beginning of a job.
func JobBegins(id string) bool { return ValidID(id) && len(id) == jobDigits }

// WishJob returns the job of an id among the wishes: of a wish, or of a beginning.
func WishJob(id string) (job string, ok bool) {
	if JobBegins(id) {
		return id, true
	}
	job, _, ok = ParseWishID(id)
	return job, ok
}

// BeginJob says that a job has begun, which may have no wish: an empty directory among the
// wishes, which goes as they do.
func (e *Exchange) BeginJob(job string) error {
	if !JobBegins(job) {
		return fmt.Errorf("%q is no job", job)
	}
	if err := makeOpen(e.root, path.Join(dirWishes, job)); err != nil {
		return fmt.Errorf("begin a job: %w", err)
	}
	return nil
}

// NewWish starts a wish below tmp; see [WishID] for its id.
func (e *Exchange) NewWish(id string) (*Draft, error) {
	if _, _, ok := ParseWishID(id); !ok {
		return nil, fmt.Errorf("%q is not the id of a wish", id)
	}
	return e.newDraft(id)
}

// Wish publishes a draft that [Exchange.NewWish] began: from here on it is the daemon's.
func (d *Draft) Wish(wish Wish) error {
	wish.Version = Version
	data, err := encode(wish)
	if err != nil {
		return fmt.Errorf("encode wish: %w", err)
	}
	if len(data) > maxWishBytes {
		return fmt.Errorf("a wish of %d bytes is larger than %d", len(data), maxWishBytes)
	}
	if err := writeFile(d.dir, fileWish, data); err != nil {
		return fmt.Errorf("stage wish: %w", err)
	}
	if err := d.exchange.root.Rename(path.Join(dirTmp, d.ID), path.Join(dirWishes, d.ID)); err != nil {
		return fmt.Errorf("hand over wish: %w", err)
	}
	return nil
}

// Wishes returns the ids of the wishes in the exchange and of the jobs that begin, in no
// order, and how many other names lie beside them, at most ten thousand in all.
func (e *Exchange) Wishes() (ids []string, foreign int, err error) { return e.ids(dirWishes) }

// TakenWish is a wish that is no longer in the exchange.
type TakenWish struct {
	// ID is the wish's.
	ID string
	// Wish is what is wished for.
	Wish Wish

	context *os.File
}

// TakeWish takes a wish out of the exchange. With an error too it is gone from there, as
// far as it can be removed: a wish is tried once.
func (e *Exchange) TakeWish(id string) (*TakenWish, error) {
	taken, err := e.openWish(id)
	if removeErr := e.RemoveWish(id); err == nil && removeErr != nil {
		// What stays would be taken again.
		_ = taken.Close()
		err = removeErr
	}
	if err != nil {
		return nil, fmt.Errorf("take wish: %w", err)
	}
	return taken, nil
}

// openWish reads a wish and opens its context.
func (e *Exchange) openWish(id string) (*TakenWish, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	dir, err := openDir(e.root, path.Join(dirWishes, id))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	taken := &TakenWish{ID: id}
	data, err := readPlain(dir, fileWish, maxWishBytes)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &taken.Wish); err != nil {
		return nil, fmt.Errorf("parse %s: %w", fileWish, err)
	}
	if taken.Wish.Version != Version {
		return nil, fmt.Errorf("%s has protocol version %d, this daemon speaks %d: use kiln-hook and kilnd of one release", fileWish, taken.Wish.Version, Version)
	}
	taken.context, err = openPlain(dir, fileContext)
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// RemoveWish removes a wish that nobody carries out, or the beginning of a job. One that is
// gone is no error.
func (e *Exchange) RemoveWish(id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	err := removeFlat(e.root, path.Join(dirWishes, id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Context is the staged context, which can be read once. Its bytes can change while they
// are read.
func (w *TakenWish) Context() (*os.File, error) { return w.context, nil }

// Close releases the wish's files.
func (w *TakenWish) Close() error { return w.context.Close() }
