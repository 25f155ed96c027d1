package assemble

import (
	"context"
	"errors"
	"fmt"
	"io"

	"kiln/internal/buildcontext"
	"kiln/internal/split"
	"kiln/internal/tarball"
)

// Archives lists what the rest unpacks, from the canonical context that open opens. An
// error is of type [*split.Unsure], or says why the context cannot be read, or why nobody
// waits any more.
func Archives(ctx context.Context, plan *split.Plan, open func() (io.ReadCloser, error)) (map[string][]tarball.Entry, error) {
	if len(plan.Archives) == 0 {
		return nil, nil
	}
	src, err := open()
	if err != nil {
		return nil, err
	}
	defer src.Close()
	wanted := map[string]bool{}
	for _, name := range plan.Archives {
		wanted[name] = true
	}
	all, of := map[string][]tarball.Entry{}, &amount{}
	err = buildcontext.Files(src, wanted, func(name string, content io.Reader) error {
		listed, err := tarball.List(ctx, content)
		if errors.Is(err, tarball.ErrArchive) {
			return &split.Unsure{Reason: fmt.Sprintf("%.200q: %v", name, err)}
		}
		if err == nil {
			err = of.add(listed)
		}
		all[name] = listed
		return err
	})
	return all, err
}

// maxUnpacked bounds what all archives of a rest unpack to, in bytes.
const maxUnpacked = 2 << 30

// amount is what archives have together.
type amount struct {
	entries, names int
	bytes          int64
}

// add adds what one has, within the bounds.
func (a *amount) add(listed []tarball.Entry) error {
	a.entries += len(listed)
	for _, e := range listed {
		a.names += len(e.Name) + len(e.Target)
		a.bytes += e.Size
	}
	switch {
	case a.entries > maxNodes:
		return &split.Unsure{Reason: errNodes.Error()}
	case a.names > maxNames:
		return &split.Unsure{Reason: errNames.Error()}
	case a.bytes > maxUnpacked:
		return &split.Unsure{Reason: "its archives unpack to too much"}
	}
	return nil
}
