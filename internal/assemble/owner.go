package assemble

import (
	"bufio"
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"

	"kiln/internal/treeindex"
)

// errOwner says that an owner is not known.
var errOwner = errors.New("the owner cannot be told")

// ownerOf reads "user", "user:group" and their numbers (WithUser in BuildKit's llb and
// readUser in its solver): a number that stands alone is the group's too, a name that
// does is looked up with its group, one that is not there is 0, and so is none. Nil is
// for no owner.
func (r *root) ownerOf(text string) (*owner, error) {
	if text == "" {
		return nil, nil
	}
	user, group, _ := strings.Cut(text, ":")
	var by owner
	if id, ok, err := number(user); err != nil {
		return nil, err
	} else if ok {
		by = owner{id, id}
	} else if err := r.lookUp("etc/passwd", user, &by.uid, &by.gid); err != nil {
		return nil, err
	}
	if group == "" {
		return &by, nil
	}
	if id, ok, err := number(group); err != nil {
		return nil, err
	} else if ok {
		by.gid = id
	} else if err := r.lookUp("etc/group", group, &by.gid, nil); err != nil {
		return nil, err
	}
	return &by, nil
}

// named reports whether an owner has to be looked up.
func named(text string) bool {
	user, group, _ := strings.Cut(text, ":")
	_, isUser, userErr := number(user)
	_, isGroup, groupErr := number(group)
	return !isUser || userErr != nil || !isGroup || groupErr != nil
}

// number reads an ID. One below zero is nobody knows what.
func number(text string) (id uint32, ok bool, err error) {
	if text == "root" || text == "" {
		return 0, true, nil
	}
	value, notNumber := strconv.ParseInt(text, 10, 32)
	switch {
	case notNumber == nil && value < 0:
		return 0, false, errOwner
	case notNumber == nil:
		return uint32(value), true, nil
	}
	return 0, false, nil // a name
}

// lookUp finds the first line of a name in /etc/passwd or /etc/group and sets the
// numbers in its third and fourth field. A file that is not there has no lines.
func (r *root) lookUp(file, name string, third, fourth *uint32) error {
	at, err := r.follow(file)
	if err != nil {
		return err
	}
	e, found := r.find(at)
	if !found {
		return nil
	}
	content, known := r.below.Account(at)
	if own := r.nodes[at]; own != nil {
		content, known = own.inline, own.inline != nil
	}
	if e.Kind != treeindex.File || !known || r.hidden(at) && r.nodes[at] == nil {
		return errOwner
	}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		fields := bytes.Split(line, []byte(":"))
		if file == "etc/group" && bytes.HasPrefix(line, []byte("#")) || string(fields[0]) != name {
			continue
		}
		return errors.Join(field(fields, 2, third), field(fields, 3, fourth))
	}
	if lines.Err() != nil {
		return errOwner
	}
	return nil
}

// field reads a number of a line; one that is missing is 0.
func field(fields [][]byte, at int, id *uint32) error {
	if id == nil || at >= len(fields) {
		return nil
	}
	value, err := strconv.ParseInt(string(fields[at]), 10, 64)
	if err != nil || value < 0 || value >= math.MaxUint32 {
		return errOwner
	}
	*id = uint32(value)
	return nil
}
