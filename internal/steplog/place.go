package steplog

import (
	"fmt"
	"path/filepath"
	"strings"

	"kiln/internal/hook"
)

// Place is where in a file something happened.
type Place struct {
	// File is as the author knows it.
	File string
	// Local says that File is one of the author's repository, relative to its root.
	Local bool
	// Line is 0 where the place has none.
	Line int
}

// PlaceOf returns the place of the file at a path of the runner's: relative to the
// checkout where it lies in it, else from _actions on.
func PlaceOf(path, workspace string) Place {
	clean := filepath.Clean(path)
	relative, err := filepath.Rel(workspace, clean)
	if workspace != "" && err == nil && filepath.IsLocal(relative) {
		return Place{File: relative, Local: true}
	}
	const actions = "/_actions/"
	if i := strings.LastIndex(clean, actions); i >= 0 {
		return Place{File: clean[i+len(actions):]}
	}
	return Place{File: clean}
}

// At returns the place at a line of the same file, 0 for none.
func (p Place) At(line int) Place {
	p.Line = line
	return p
}

// String names the place in a sentence, as compilers do.
func (p Place) String() string {
	if p.Line <= 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// properties are those of a workflow command about the place. A file of
// somebody else's action has none: the runner would look for it in the
// author's repository.
func (p Place) properties() string {
	switch {
	case !p.Local:
		return ""
	case p.Line <= 0:
		return " file=" + hook.EscapeProperty(p.File)
	}
	return fmt.Sprintf(" file=%s,line=%d", hook.EscapeProperty(p.File), p.Line)
}
