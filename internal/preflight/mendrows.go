package preflight

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// maxPorts bounds the ports that one EXPOSE is written out to.
const maxPorts = 1000

// portRange finds ports with the bounds of a range in BuildKit's form; a
// protocol may be in capitals.
var portRange = regexp.MustCompile(`^(\d{1,5})(?:-(\d{1,5}))?(?:/([A-Za-z]+))?$`)

// mendPorts writes the ports of a range one by one.
func mendPorts(s *site, r *rewrite) bool {
	for _, word := range s.command.(*instructions.ExposeCommand).Ports {
		value, known := s.expand(word)
		if !known || port.MatchString(value) {
			r.ports = append(r.ports, word)
			continue
		}
		ports, ok := eachPort(value)
		if r.ports = append(r.ports, ports...); !ok || len(r.ports) > maxPorts {
			return false
		}
	}
	return true
}

// eachPort returns the ports of a range as Kaniko takes them.
func eachPort(text string) ([]string, bool) {
	found := portRange.FindStringSubmatch(text)
	if found == nil {
		return nil, false
	}
	protocol := strings.ToLower(found[3])
	first, _ := strconv.Atoi(found[1])
	last, _ := strconv.Atoi(found[2])
	if found[2] == "" {
		last = first
	}
	if protocol == "" {
		protocol = "tcp"
	}
	if protocol != "tcp" && protocol != "udp" || last < first || last > 65535 || last-first >= maxPorts {
		return nil, false
	}
	var ports []string
	for number := first; number <= last; number++ {
		ports = append(ports, fmt.Sprintf("%d/%s", number, protocol))
	}
	return ports, true
}

// mendGroup names root, whose the files are, before a group that stands alone.
func mendGroup(s *site, r *rewrite) bool {
	if !strings.HasPrefix(r.copying.chown, ":") {
		value, _ := s.expand(r.copying.chown)
		if r.copying.chown = value; !s.literal(value) {
			return false
		}
	}
	r.copying.chown = "0" + r.copying.chown
	return true
}

// literal reports whether expansion leaves a word as it is, now and again.
func (s *site) literal(word string) bool {
	value, known := s.expand(word)
	return known && value == word && !strings.ContainsAny(word, "$\\`'\"")
}

// mendAbove takes the ../ off that lead out of the context.
func mendAbove(s *site, r *rewrite) bool {
	for i, source := range r.copying.SourcePaths {
		value, known := s.expand(source)
		if !known || !above(path.Clean(value)) {
			continue
		}
		if !s.literal(source) {
			return false
		}
		r.copying.SourcePaths[i] = inside(source)
	}
	return true
}

// inside is a path with the context for the root of all.
func inside(source string) string {
	clean := strings.TrimPrefix(path.Clean("/"+source), "/")
	if clean != "" && strings.HasSuffix(source, "/") {
		clean += "/"
	}
	return cmp.Or(clean, ".")
}

// above reports whether a clean path leads out of the context.
func above(path string) bool { return below(path, "..") }

// mendDot leaves out the . after the last slash of a target.
func mendDot(_ *site, r *rewrite) bool {
	if !strings.HasSuffix(r.copying.DestPath, "/.") {
		return false // it may be in the value of a variable
	}
	r.copying.DestPath = strings.TrimSuffix(r.copying.DestPath, ".")
	return true
}

// mendMode writes a mode of letters as a number.
func mendMode(s *site, r *rewrite) bool {
	mode := s.mode(r.copying.chmod)
	if r.copying.from != "" || !allDigits(mode) {
		return false
	}
	r.copying.chmod = mode
	return true
}

// clause finds one clause of a mode in letters whose effect does not depend on
// the mode that a file has.
var clause = regexp.MustCompile(`^([ugoa]+)=([rwx]*)$`)

// mode returns the value of a --chmod: in digits, where letters set all of it.
// It is empty for one that is not known.
func (s *site) mode(text string) string {
	value, known := s.expand(text)
	if !known || value == "" || allDigits(value) {
		return value
	}
	var mode, set int
	for part := range strings.SplitSeq(value, ",") {
		found := clause.FindStringSubmatch(part)
		if found == nil {
			return value
		}
		bits, who := 0, 0
		for i, letter := range "xwr" {
			if strings.ContainsRune(found[2], letter) {
				bits |= 0o111 << i
			}
		}
		for i, letter := range "ogu" {
			if strings.ContainsAny(found[1], string(letter)+"a") {
				who |= 0o7 << (3 * i)
			}
		}
		mode, set = mode&^who|bits&who, set|who
	}
	if set != 0o777 {
		return value
	}
	return fmt.Sprintf("%o", mode)
}

// mendUnused leaves the stages out that nothing uses.
func mendUnused(_ *site, r *rewrite) bool {
	r.leaves, r.settled = true, true
	return true
}

// stageName begins the names of stages that have none.
const stageName = "kiln-stage-"

// mendNumber copies from a stage by its name: one that is left out changes
// numbers, not names.
func mendNumber(s *site, r *rewrite) bool {
	number, err := strconv.Atoi(r.copying.from)
	if err != nil || number < 0 || number >= len(s.walker.parsed) {
		return false
	}
	name := s.walker.parsed[number].Name
	if name == "" {
		name = stageName + strconv.Itoa(number)
		r.stages[number] = name
		r.copying.from = name
		return !strings.Contains(strings.ToLower(string(s.walker.data)), stageName)
	}
	r.copying.from = name
	return called(name, s.walker.parsed) == 1
}

// naming gives a name to a stage that has none.
func (w *walker) naming(number int, name string) edit {
	parsed := w.parsed[number]
	parts := []string{"FROM"}
	if parsed.Platform != "" {
		parts = append(parts, "--platform="+parsed.Platform)
	}
	line := startLine(parsed.Location)
	return edit{
		node: w.node(line),
		line: strings.Join(append(parts, parsed.BaseName, "AS", name), " "),
		means: func(read any) bool {
			got, ok := read.(*instructions.Stage)
			return ok && got.Name == name && got.BaseName == parsed.BaseName && got.Platform == parsed.Platform
		},
		refusal: w.errorf(line, "a stage without a name cannot be given one"),
	}
}
