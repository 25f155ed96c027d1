package agent

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// resources are the names of limits as Docker has them (docker/go-units, ulimit.go),
// each with its number.
func resources() map[string]int {
	return map[string]int{
		"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
		"fsize": unix.RLIMIT_FSIZE, "locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK,
		"msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE,
		"nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO,
		"rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
	}
}

// ParseUlimit reads NAME=SOFT:HARD with the names that Docker has, where -1 is no limit.
func ParseUlimit(text string) (Limit, error) {
	name, values, _ := strings.Cut(text, "=")
	soft, hard, _ := strings.Cut(values, ":")
	resource, known := resources()[name]
	l := Limit{Resource: resource}
	var err1, err2 error
	l.Soft, err1 = ulimitValue(soft)
	l.Hard, err2 = ulimitValue(hard)
	if !known || l.Soft > l.Hard || errors.Join(err1, err2) != nil {
		return Limit{}, fmt.Errorf("%q is not NAME=SOFT:HARD", text)
	}
	return l, nil
}

func ulimitValue(text string) (uint64, error) {
	if text == "-1" {
		return unix.RLIM_INFINITY, nil
	}
	return strconv.ParseUint(text, 10, 64)
}

// within returns limits as this process may give them to others. What it may not raise
// stays at its own hard limit: short says so, as "nofile 4096", in the order of limits.
func within(limits []Limit) (held []Limit, short []string, err error) {
	for _, l := range limits {
		var own unix.Rlimit
		if err := unix.Getrlimit(l.Resource, &own); err != nil {
			return nil, nil, fmt.Errorf("read the limit %s: %w", resourceName(l.Resource), err)
		}
		if l.Hard > own.Max && unix.Setrlimit(l.Resource, &unix.Rlimit{Cur: own.Cur, Max: l.Hard}) != nil {
			l.Hard = own.Max
			l.Soft = min(l.Soft, l.Hard)
			short = append(short, fmt.Sprintf("%s %d", resourceName(l.Resource), l.Hard))
		}
		held = append(held, l)
	}
	return held, short, nil
}

func resourceName(resource int) string {
	all := resources()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name] == resource {
			return name
		}
	}
	return strconv.Itoa(resource)
}
