package agent

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Version is the protocol's. Both sides come with one version of kiln; where
// they do not, the agent says so instead of starting something else.
const Version = 1

// A Call is what is to be started. No string of it has a NUL.
type Call struct {
	Argv    []string // the program, looked up in the step's PATH, and its arguments
	Env     []string // NAME=VALUE each; of a name twice the last one counts
	Prepend []string // directories before those of the container's PATH
	Dir     string   // the working directory in the container; "" for the container's own
	Limits  []Limit  // instead of those of the agent's Config, else of the container
}

// A Limit is a limit of resources of the step and what it starts.
type Limit struct {
	Resource int    // RLIMIT_NOFILE and so on, of package unix
	Soft     uint64 // unix.RLIM_INFINITY for none
	Hard     uint64 // may be lower than the container's; only root may raise it
}

// maxItems is how many strings a list of a call may have, and maxResource the
// highest number of a resource that Linux has.
const (
	maxItems    = 1 << 16
	maxResource = 15
)

// A request is a call with the number of descriptors that its sender sent.
type request struct {
	call        Call
	descriptors int
}

// encode returns the request's payload: the version, the number of descriptors,
// the directory, three lists of strings and one of limits. A string is its
// length and its bytes, a list its length and its items, a number a uvarint.
func (r request) encode() []byte {
	b := []byte{Version, byte(r.descriptors)}
	b = appendString(b, r.call.Dir)
	for _, list := range [][]string{r.call.Argv, r.call.Env, r.call.Prepend} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, item := range list {
			b = appendString(b, item)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(r.call.Limits)))
	for _, limit := range r.call.Limits {
		b = binary.AppendUvarint(b, uint64(limit.Resource))
		b = binary.AppendUvarint(b, limit.Soft)
		b = binary.AppendUvarint(b, limit.Hard)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// parseRequest reads a payload and checks the call.
func parseRequest(payload []byte) (request, error) {
	p := parser{rest: payload}
	if version := p.byte(); p.err == nil && version != Version {
		return request{}, fmt.Errorf("the message has version %d of the protocol; this agent has version %d", version, Version)
	}
	r := request{descriptors: int(p.byte())}
	r.call.Dir = p.string()
	r.call.Argv, r.call.Env, r.call.Prepend = p.strings(), p.strings(), p.strings()
	for range p.count(maxResource + 1) {
		limit := Limit{Resource: int(min(p.number(), maxResource+1)), Soft: p.number(), Hard: p.number()}
		r.call.Limits = append(r.call.Limits, limit)
	}
	switch {
	case p.err != nil:
		return request{}, p.err
	case len(p.rest) > 0:
		return request{}, fmt.Errorf("%w: %d bytes behind the end of a call", errForm, len(p.rest))
	}
	return r, r.call.check()
}

// check tells a call that nothing can be started from.
func (c Call) check() error {
	if len(c.Argv) == 0 {
		return fmt.Errorf("%w: no program", errForm)
	}
	for _, list := range [][]string{c.Argv, c.Env, c.Prepend, {c.Dir}} {
		for _, item := range list {
			if strings.IndexByte(item, 0) >= 0 {
				return fmt.Errorf("%w: a NUL in %.64q", errForm, item)
			}
		}
	}
	for _, item := range c.Env {
		if strings.IndexByte(item, '=') < 1 {
			return fmt.Errorf("%w: %.64q is no variable", errForm, item)
		}
	}
	for _, limit := range c.Limits {
		if limit.Resource < 0 || limit.Resource > maxResource || limit.Soft > limit.Hard {
			return fmt.Errorf("%w: the limit %+v", errForm, limit)
		}
	}
	return nil
}

// A parser takes a payload apart. After an error it yields zeros.
type parser struct {
	rest []byte
	err  error
}

// fail remembers the first error.
func (p *parser) fail(what string) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: %s", errForm, what)
	}
	p.rest = nil
}

func (p *parser) byte() byte {
	if len(p.rest) == 0 {
		p.fail("it ends too early")
		return 0
	}
	b := p.rest[0]
	p.rest = p.rest[1:]
	return b
}

func (p *parser) number() uint64 {
	n, size := binary.Uvarint(p.rest)
	if size <= 0 {
		p.fail("a number without end")
		return 0
	}
	p.rest = p.rest[size:]
	return n
}

// count reads the length of a list. Every item has a byte at least, so a list
// is never longer than what is left.
func (p *parser) count(limit int) int {
	n := p.number()
	if n > uint64(min(limit, len(p.rest))) {
		p.fail(fmt.Sprintf("a list of %d", n))
		return 0
	}
	return int(n)
}

func (p *parser) string() string {
	n := p.number()
	if n > uint64(len(p.rest)) {
		p.fail(fmt.Sprintf("a string of %d bytes", n))
		return ""
	}
	s := string(p.rest[:n])
	p.rest = p.rest[n:]
	return s
}

func (p *parser) strings() []string {
	var list []string
	for range p.count(maxItems) {
		list = append(list, p.string())
	}
	return list
}
