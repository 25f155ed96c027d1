package gate

import (
	"archive/tar"
	"bufio"
	"io"
	"path"
	"strings"
	"sync"
)

// Lacks begins what is reported of an image that is unfit for what none of its layers
// has, rather than for a layer.
const Lacks = "lacks "

// maxPasswd bounds the /etc/passwd that is looked into, in bytes.
const maxPasswd = 1 << 20

// wanted is what an image has to have, as far as no layer that passed had it. A layer may
// take it away again, and two images of one repository are taken for one: then nothing is
// missed. It is safe for concurrent use.
type wanted struct {
	mu       sync.Mutex
	workdirs map[string]bool // whether it was not found
	users    map[string]bool
	// looked is whether a layer was looked through, blind whether one could not be.
	looked, blind bool
}

func (w *wanted) add(what Inspection) {
	if w.workdirs == nil {
		w.workdirs, w.users = map[string]bool{}, map[string]bool{}
	}
	if what.Workdir != "" {
		w.workdirs[path.Clean(what.Workdir)] = true
	}
	if what.User != "" {
		w.users[what.User] = true
	}
}

// note looks at an entry of a layer. A directory can lie behind a link, and is there if
// something is in it.
func (w *wanted) note(h *tar.Header, name string, content io.Reader) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for dir := range w.workdirs {
		if below(name, dir) || h.Typeflag == tar.TypeSymlink && below(dir, name) {
			delete(w.workdirs, dir)
		}
	}
	if name != "/etc/passwd" || len(w.users) == 0 {
		return
	}
	if h.Typeflag != tar.TypeReg || h.Size > maxPasswd {
		clear(w.users) // it leads elsewhere, or is none that anybody reads
		return
	}
	for lines := bufio.NewScanner(content); lines.Scan(); {
		if fields := strings.Split(strings.TrimSpace(lines.Text()), ":"); len(fields) > 2 {
			delete(w.users, fields[2])
		}
	}
}

// ended notes that a layer is over, and whether all of it was looked at.
func (w *wanted) ended(whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked, w.blind = w.looked || whole, w.blind || !whole
}

// lacking says what the layers that passed do not have, "" for nothing.
func (w *wanted) lacking() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.looked || w.blind {
		return ""
	}
	for dir := range w.workdirs {
		return Lacks + "its working directory " + dir + ": Docker makes it for a RUN, Kaniko does not"
	}
	for user := range w.users {
		return Lacks + "an entry in /etc/passwd for its user " + user + ": Docker gives a RUN the group 0, Kaniko one of that number"
	}
	return ""
}

// lacking says what an image that was pulled does not have, and which one that is.
func (p *policy) lacking() (image, what string) {
	for _, pulled := range p.pulls {
		if pulled.inspector == nil {
			continue
		}
		if what := pulled.inspector.wanted.lacking(); what != "" {
			return pulled.inspector.Image, what
		}
	}
	return "", ""
}
