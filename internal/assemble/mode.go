package assemble

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// chmod is a change of modes.
type chmod struct {
	// set is whether there is one; octal is the mode, and else the clauses apply.
	set     bool
	octal   bool
	mode    uint32
	clauses []clause
}

// clause is one operator with its letters: add and drop are bits, search those that
// are added where something is executable, or a directory.
type clause struct{ drop, add, search uint32 }

var errMode = errors.New("the mode is of a kind that is not known")

// letters finds the modes that are known, of which every implementation has one
// opinion: no setuid, setgid and sticky, and no copies of other bits.
var letters = regexp.MustCompile(`^[ugoa]*(?:[+=-][rwxX]*)+(?:,[ugoa]*(?:[+=-][rwxX]*)+)*$`)

// parseMode reads --chmod, and the mode of chmod(1), with the umask for letters that
// name nobody.
func parseMode(text string, umask uint32) (chmod, error) {
	if text == "" {
		return chmod{}, nil
	}
	if mode, err := strconv.ParseUint(text, 8, 32); err == nil {
		if mode > 0o7777 {
			return chmod{}, errMode
		}
		return chmod{set: true, octal: true, mode: uint32(mode)}, nil
	}
	if !letters.MatchString(text) {
		return chmod{}, errMode
	}
	change := chmod{set: true}
	for part := range strings.SplitSeq(text, ",") {
		change.clauses = append(change.clauses, clausesOf(part, umask)...)
	}
	return change, nil
}

// Who the letters name, and what an equals sign takes from them: setuid and setgid too.
const (
	all      = 0o777
	standard = 0o6777
)

// clausesOf reads what stands between two commas.
func clausesOf(text string, umask uint32) []clause {
	at := strings.IndexAny(text, "+=-")
	who, cleared := uint32(0), uint32(0)
	for _, letter := range text[:at] {
		switch letter {
		case 'u':
			who, cleared = who|0o700, cleared|0o4700
		case 'g':
			who, cleared = who|0o070, cleared|0o2070
		case 'o':
			who, cleared = who|0o007, cleared|0o007
		case 'a':
			who, cleared = all, standard
		}
	}
	if at == 0 {
		who, cleared = all&^umask, standard
	}
	var found []clause
	for text = text[at:]; text != ""; {
		operator := text[0]
		end := 1 + strings.IndexAny(text[1:]+"+", "+=-")
		bits, search := uint32(0), uint32(0)
		for _, letter := range text[1:end] {
			switch letter {
			case 'r':
				bits |= 0o444
			case 'w':
				bits |= 0o222
			case 'x':
				bits |= 0o111
			case 'X':
				search |= 0o111
			}
		}
		bits, search = bits&who, search&who
		switch operator {
		case '+':
			found = append(found, clause{add: bits, search: search})
		case '-':
			found = append(found, clause{drop: bits | search})
		case '=':
			found = append(found, clause{drop: cleared, add: bits, search: search})
		}
		text = text[end:]
	}
	return found
}

// of returns what a mode becomes.
func (c chmod) of(mode uint32, dir bool) uint32 {
	switch {
	case !c.set:
		return mode
	case c.octal:
		return c.mode
	}
	executable := dir || mode&0o111 != 0
	for _, clause := range c.clauses {
		mode = mode&^clause.drop | clause.add
		if executable {
			mode |= clause.search
		}
	}
	return mode
}

// made is the mode of directories that are made on the way.
func (c chmod) made() uint32 {
	if c.octal {
		return c.mode
	}
	return 0o755
}
