package preflight

import (
	"maps"
	"regexp"
	"slices"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// platformUse is what a Dockerfile makes of the variables of the platform, which
// Docker gives a value and the executor takes from the command line, whatever an
// ARG says.
type platformUse struct {
	// global and own have those that an ARG gives another value, before the first
	// FROM and anywhere.
	global, own map[string]bool
	// given has those whose value has to be the platform's.
	given map[string]bool
}

func newPlatformUse() platformUse {
	return platformUse{global: map[string]bool{}, own: map[string]bool{}, given: map[string]bool{}}
}

// ownArgs are those that have a value of their own and need no other, in order.
func (u platformUse) ownArgs() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(u.own)), func(name string) bool { return u.given[name] })
}

// noteGlobals notes what the ARGs before the first FROM set.
func (w *walker) noteGlobals() {
	for name, value := range platformValues() {
		if set, _, _ := w.globals.get(name); !set.known || set.value != value {
			w.platform.global[name], w.platform.own[name] = true, true
		}
	}
}

// usesName finds the names of variables in a FROM.
var usesName = regexp.MustCompile(`\$\{?(\w+)`)

// notePlatform notes what a FROM, or an ARG of a stage, makes of the variables of
// the platform.
func (s *site) notePlatform() {
	if s.stage == nil {
		return
	}
	use := s.walker.platform
	if s.command == nil {
		from := s.walker.parsed[s.stage.index]
		for _, name := range usesName.FindAllStringSubmatch(from.Platform+" "+from.BaseName, -1) {
			use.given[name[1]] = use.given[name[1]] || !use.global[name[1]]
		}
		return
	}
	arg, ok := s.command.(*instructions.ArgCommand)
	if !ok {
		return
	}
	for _, pair := range arg.Args {
		switch {
		case s.otherPlatform(pair):
			use.own[pair.Key] = true
		case pair.Value == nil && !use.global[pair.Key]:
			use.given[pair.Key] = true
		}
	}
}

// otherPlatform reports whether an ARG gives a variable of the platform another
// value.
func (s *site) otherPlatform(pair instructions.KeyValuePairOptional) bool {
	platform, found := platformValues()[pair.Key]
	if !found || pair.Value == nil {
		return false
	}
	value, known := s.expand(*pair.Value)
	return !known || value != platform
}

// platformRows are the constructs of the variables of the platform.
func platformRows() []Row {
	return []Row{{
		ID:                "ArgPlatform",
		Name:              "ARG that gives a variable of the platform another value, beside one without a value",
		Example:           "FROM busybox AS a\nARG TARGETARCH=x\nRUN true\nFROM a\nARG TARGETARCH\nRUN true\n",
		Chainguard:        Refuse,
		Osscontainertools: Refuse,
		Message:           "Kaniko gives the variable one value for all of the Dockerfile",
		Advice:            "Give the ARG with a value another name.",
		match: func(s *site) bool {
			c, ok := s.command.(*instructions.ArgCommand)
			use := s.walker.platform
			return ok && slices.ContainsFunc(c.Args, func(pair instructions.KeyValuePairOptional) bool {
				if s.given() {
					return s.otherPlatform(pair) && use.given[pair.Key]
				}
				return s.otherPlatform(pair) || pair.Value == nil && use.own[pair.Key]
			})
		},
	}}
}
