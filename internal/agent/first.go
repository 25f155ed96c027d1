package agent

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// InitVariable in an action's environment, with the value off, has the action be the first
// process of its container.
const InitVariable = "KILN_INIT"

// inits are programs that end, or complain, where they are not the first process of
// their container: tini, which is Docker's own too, catatonit, s6-overlay, runit, OpenRC's
// and baseimage's. Where an image has one of them, what it starts with may well start it.
var inits = []string{
	"tini", "tini-static", "docker-init", "catatonit", "s6-svscan", "s6-overlay-suexec",
	"runit", "runit-init", "runsvinit", "openrc-init", "my_init",
}

// initPaths are where some of them are in no directory of PATH.
var initPaths = []string{
	"/init", "/tini", "/catatonit", "/command/s6-svscan", "/package/admin/s6-overlay",
	"/usr/libexec/catatonit", "/usr/libexec/podman/catatonit",
}

// foreign are programs that become another user's, whom a parent of the image's user
// cannot send a signal, and foreignSigns what a script has in it that starts one.
var (
	foreign      = []string{"sudo", "su", "doas"}
	foreignSigns = []string{"sudo ", "su ", "doas "}
)

// signs are what a script has in it that may rely on a first process being ended by no
// signal of its own container that it does not handle, since it sends one to itself or to
// its group, or writes to what nobody reads (SIGPIPE); or that starts an init.
var signs = []string{"kill", "/dev/tcp/", "coproc", ">(", "/sbin/init", "systemd", "runsvdir"}

// How much of a script is read, and how many words of a command line are looked at.
const (
	maxScript = 64 << 10
	maxWords  = 32
)

// insistsOnFirst reports whether an action may need to be the first process of its
// container. It errs on that side.
func insistsOnFirst(argv []string) bool {
	name := filepath.Base(argv[0])
	switch {
	case os.Getenv(InitVariable) == "off":
		return true
	case os.Getenv("GODEBUG") != "": // it would have this program print, among the action's lines
		return true
	case name == "init" || name == "systemd" || slices.Contains(inits, name):
		return true
	case len(argv) > 1 && name == "busybox" && argv[1] == "init":
		return true
	case os.Getuid() != 0 && changesUser(argv[0]):
		return true
	}
	return hasInit() || slices.ContainsFunc(argv[:min(len(argv), maxWords)], hasSign)
}

// changesUser reports whether a program runs as somebody else.
func changesUser(program string) bool {
	if slices.Contains(foreign, filepath.Base(program)) {
		return true
	}
	path, err := lookPath(program, ".", os.Getenv("PATH"))
	if err != nil {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0
}

// hasInit reports whether there is an init.
func hasInit() bool {
	for _, name := range inits {
		if _, err := lookPath(name, "/", os.Getenv("PATH")); err == nil {
			return true
		}
	}
	return slices.ContainsFunc(initPaths, func(path string) bool {
		_, err := os.Lstat(path)
		return err == nil
	})
}

// hasSign reports whether a word of a command line is a script with one of the signs, or
// the name of a file that is one.
func hasSign(word string) bool {
	if isSign(word) {
		return true
	}
	if isSign(readScript(word)) {
		return true
	}
	path, err := lookPath(word, ".", os.Getenv("PATH"))
	return err == nil && path != word && isSign(readScript(path))
}

// readScript reads the beginning of a file of text; of any other it is "".
func readScript(path string) string {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxScript))
	if err != nil || bytes.IndexByte(text, 0) >= 0 { // what is compiled has zeros
		return ""
	}
	return string(text)
}

// isSign reports whether a text has one of the signs.
func isSign(text string) bool {
	in := func(sign string) bool { return strings.Contains(text, sign) }
	return slices.ContainsFunc(signs, in) || os.Getuid() != 0 && slices.ContainsFunc(foreignSigns, in)
}
