package action

import (
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
)

// User is the USER of an image as `docker run` reads it (moby/sys/user,
// GetExecUser): a user and, behind a colon, a group, each a name or a number.
type User struct{ Name, Group string }

// ParseUser splits the USER of an image.
func ParseUser(text string) User {
	name, group, _ := strings.Cut(text, ":")
	return User{name, group}
}

// String is the USER again.
func (u User) String() string {
	if u.Group == "" {
		return u.Name
	}
	return u.Name + ":" + u.Group
}

// Numbers are the numbers of a user and a group.
type Numbers struct{ User, Group int64 }

// Passwd and Group are the files of an image that turn names into numbers.
const (
	PasswdFile = "etc/passwd"
	GroupFile  = "etc/group"
)

// Files returns which files the numbers of u are to be found in. Without a group
// there are none: the kubelet has the runtime look a user up itself, with the
// group and the further groups that the image gives it, as Docker does.
func (u User) Files() []string {
	var files []string
	if u.Group == "" {
		return nil
	}
	if _, isNumber := number(u.Name); !isNumber && u.Name != "" {
		files = append(files, PasswdFile)
	}
	if _, isNumber := number(u.Group); !isNumber {
		files = append(files, GroupFile)
	}
	return files
}

// Numbers returns what the kubelet has to be told, nil for nothing. It drops the
// group of an image's USER (kubernetes/kubernetes#61967), so that a program would
// run with another one. passwd and group are the image's files of those that
// [User.Files] names. What Docker refuses is refused in its words.
func (u User) Numbers(passwd, group string) (*Numbers, error) {
	if id, isNumber := number(u.Name); isNumber && !inRange(id) {
		return nil, outOfRange(u)
	}
	if u.Group == "" {
		return nil, nil
	}
	uid, isNumber := number(u.Name)
	if !isNumber && u.Name != "" {
		if uid, isNumber = lookup(passwd, u.Name); !isNumber {
			return nil, failure.New(failure.ActionFailed, "unable to find user %s: no matching entries in passwd file: name in USER a user that the image has, or a number", oneWord(u.Name))
		}
	}
	gid, isNumber := number(u.Group)
	if !isNumber {
		if gid, isNumber = lookup(group, u.Group); !isNumber {
			return nil, failure.New(failure.ActionFailed, "unable to find group %s: no matching entries in group file: name in USER a group that the image has, or a number", oneWord(u.Group))
		}
	}
	if !inRange(uid) || !inRange(gid) {
		return nil, outOfRange(u)
	}
	return &Numbers{User: uid, Group: gid}, nil
}

// Apply has the action of job run with the numbers, unless the operator's template
// chose a user or group.
func (n *Numbers) Apply(job *batchv1.Job) {
	spec := &job.Spec.Template.Spec
	if n == nil || chosen(spec) {
		return
	}
	for i := range spec.Containers {
		c := &spec.Containers[i]
		if c.Name != ContainerName {
			continue
		}
		if c.SecurityContext == nil {
			c.SecurityContext = &corev1.SecurityContext{}
		}
		c.SecurityContext.RunAsUser, c.SecurityContext.RunAsGroup = &n.User, &n.Group
	}
}

// Chosen reports whether the operator's template chose the user or group that the
// action of job runs with.
func Chosen(job *batchv1.Job) bool { return chosen(&job.Spec.Template.Spec) }

func chosen(spec *corev1.PodSpec) bool {
	if pod := spec.SecurityContext; pod != nil && (pod.RunAsUser != nil || pod.RunAsGroup != nil) {
		return true
	}
	for _, c := range spec.Containers {
		if own := c.SecurityContext; c.Name == ContainerName && own != nil && (own.RunAsUser != nil || own.RunAsGroup != nil) {
			return true
		}
	}
	return false
}

// number reads a decimal number as Docker does; one that is too large is one
// still.
func number(text string) (int64, bool) {
	id, err := strconv.ParseInt(text, 10, 64)
	return id, err == nil
}

// inRange is Docker's limit of ids.
func inRange(id int64) bool { return id >= 0 && id <= 1<<31-1 }

func outOfRange(u User) error {
	return failure.New(failure.ActionFailed, "uids and gids must be in range 0-2147483647, and the image's USER is %s", oneWord(u.String()))
}

// lookup finds the number of a name in a passwd or group file: the third of the
// fields between colons, of the first line with that name.
func lookup(file, name string) (int64, bool) {
	for line := range strings.Lines(file) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 4)
		if len(fields) < 3 || fields[0] != name {
			continue
		}
		if id, isNumber := number(fields[2]); isNumber {
			return id, true
		}
	}
	return 0, false
}

// oneWord makes a name of an image fit for a log.
func oneWord(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
