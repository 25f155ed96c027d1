package assemble

import (
	"errors"
	"fmt"
	"io"

	"kiln/internal/buildcontext"
	"kiln/internal/split"
	"kiln/internal/tarball"
)

// Archives lists what the rest unpacks, from the canonical context that open opens. An
// error is of type [*split.Unsure], or the context's.
func Archives(plan *split.Plan, open func() (io.ReadCloser, error)) (map[string][]tarball.Entry, error) {
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
	all, entries := map[string][]tarball.Entry{}, 0
	err = buildcontext.Files(src, wanted, func(name string, content io.Reader) error {
		listed, err := tarball.List(content)
		if errors.Is(err, tarball.ErrArchive) {
			return &split.Unsure{Reason: fmt.Sprintf("%.200q: %v", name, err)}
		}
		if entries += len(listed); err == nil && entries > maxNodes {
			return &split.Unsure{Reason: errNodes.Error()}
		}
		all[name] = listed
		return err
	})
	return all, err
}
