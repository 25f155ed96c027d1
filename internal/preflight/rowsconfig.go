package preflight

import (
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// fileRows are constructs of the Dockerfile as a whole.
func fileRows() []Row {
	return []Row{
		{
			ID:                "SyntaxFrontend",
			Name:              "# syntax= of another frontend",
			Example:           "# syntax=example.com/acme/frontend:1\nFROM busybox\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "the Dockerfile asks for another frontend by # syntax=, and Kaniko knows Docker's alone",
			Advice:            "Remove the line if the file is an ordinary Dockerfile.",
			match:             otherFrontend,
		},
		{
			ID:                "EscapeBacktick",
			Name:              "# escape=` with values that hold a backslash or a backtick",
			Example:           "# escape=`\nFROM busybox\nENV A=a\\b\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko takes the backslash for the escape character in values, whatever # escape= says",
			Advice:            "Remove # escape= and write \\ to continue lines.",
			match: func(s *site) bool {
				_, run := s.command.(*instructions.RunCommand)
				return s.walker.escape != parser.DefaultEscapeToken && s.command != nil && !run && strings.ContainsAny(s.node.Original, "\\`")
			},
		},
	}
}

// otherFrontend matches a file whose # syntax= names something else than
// Docker's own frontend.
func otherFrontend(s *site) bool {
	if s.stage != nil {
		return false
	}
	frontend, _, _, found := parser.DetectSyntax(s.walker.data)
	if !found {
		return false
	}
	name := strings.TrimPrefix(strings.TrimPrefix(frontend, "docker.io/"), "index.docker.io/")
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	return name != "docker/dockerfile" && name != "docker/dockerfile-upstream"
}

// configRows are constructs of the image's configuration.
func configRows() []Row {
	return []Row{
		{
			ID:                "ExposeRange",
			Name:              "EXPOSE of a range, of a protocol in capitals, or with zeros in front",
			Example:           "FROM busybox\nEXPOSE 8000-8002\n",
			Chainguard:        Mend,
			Osscontainertools: Mend,
			Message:           "Kaniko takes only single ports with /tcp or /udp in EXPOSE",
			Advice:            "Write each port, or leave EXPOSE out: an action needs none.",
			mend:              mendPorts,
			match:             exposes(func(value string) bool { return !port.MatchString(value) && !otherProtocol.MatchString(value) }),
		},
		{
			ID:                "ExposeProtocol",
			Name:              "EXPOSE of another protocol than tcp and udp",
			Example:           "FROM busybox\nEXPOSE 80/sctp\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko takes only tcp and udp in EXPOSE",
			Advice:            "Leave the EXPOSE out: an action needs none.",
			match:             exposes(otherProtocol.MatchString),
		},
		{
			ID:                "HealthcheckStartInterval",
			Name:              "HEALTHCHECK --start-interval",
			Example:           "FROM busybox\nHEALTHCHECK --start-interval=1s CMD true\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko drops --start-interval",
			Advice:            "Remove the flag: nothing checks the health of an action.",
			match: func(s *site) bool {
				c, ok := s.command.(*instructions.HealthCheckCommand)
				return ok && c.Health != nil && c.Health.StartInterval != 0
			},
		},
	}
}

// argRows are constructs of ARG.
func argRows() []Row {
	return []Row{
		{
			ID:         "ArgAfterEnv",
			Name:       "ARG after an ENV of the same name, also of the base image",
			Example:    "FROM busybox\nENV A=env\nARG A=arg\nRUN echo $A > /a\n",
			Chainguard: Refuse,
			Message:    "with this Kaniko an ENV keeps its value, with Docker the later ARG wins",
			Advice:     "Give the ARG another name.",
			match:      argAfterEnv,
		},
		{
			ID:                "EnvOfParentShadowed",
			Name:              "a stage built from one that declares an ARG after an ENV of its name, also of the base image",
			Example:           "FROM busybox AS a\nENV A=env\nARG A=arg\nRUN true\nFROM a\nRUN echo $A > /a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko gives this stage the value of an ARG of the stage that it is built from, with Docker it has that of the ENV",
			Advice:            "Give the ARG another name.",
			match: func(s *site) bool {
				return s.stage != nil && s.command == nil && s.trigger == nil && s.stage.base != nil && len(s.stage.base.variables.shadowed) > 0
			},
		},
		{
			ID:         "ArgOfOtherStage",
			Name:       "a variable that only another stage declares",
			Example:    "FROM busybox AS a\nARG A=arg\nRUN true\nFROM busybox\nCOPY --from=a /bin/true /t\nRUN echo x$A > /a\n",
			Chainguard: Refuse,
			Message:    "this Kaniko gives the value of another stage's ARG to a variable that is empty with Docker",
			Advice:     "Give it a value by ARG in this stage too, or remove it.",
			match:      leakedArg,
		},
		{
			ID:                "ArgVariableName",
			Name:              "ARG with a variable in its name",
			Example:           "FROM busybox\nENV A=B\nARG $A=arg\nRUN true\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko expands the variable in the name, Docker does not",
			Advice:            "Write the name out.",
			match: func(s *site) bool {
				c, ok := s.command.(*instructions.ArgCommand)
				return ok && slices.ContainsFunc(c.Args, func(pair instructions.KeyValuePairOptional) bool {
					return strings.Contains(pair.Key, "$")
				})
			},
		},
	}
}

// otherProtocol finds a port of a protocol that Kaniko does not know.
var otherProtocol = regexp.MustCompile(`(?i)/sctp$`)

// exposes matches an EXPOSE by the value of one of its words.
func exposes(match func(string) bool) func(*site) bool {
	return func(s *site) bool {
		c, ok := s.command.(*instructions.ExposeCommand)
		return ok && slices.ContainsFunc(c.Ports, func(text string) bool {
			value, known := s.expand(text)
			return known && match(value)
		})
	}
}

// port finds a port that both builders write alike.
var port = regexp.MustCompile(`^(0|[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])(/(tcp|udp))?$`)

// argAfterEnv matches an ARG with a value whose name an ENV has set.
func argAfterEnv(s *site) bool {
	c, ok := s.command.(*instructions.ArgCommand)
	if !ok {
		return false
	}
	return slices.ContainsFunc(c.Args, func(pair instructions.KeyValuePairOptional) bool {
		arg, declared, _ := s.walker.globals.get(pair.Key)
		if pair.Value != nil {
			arg.value, arg.known = s.expand(*pair.Value)
		}
		set, found, _ := s.stage.variables.get(pair.Key)
		return found && set.env && (pair.Value != nil || declared) && !set.equal(arg)
	})
}

// reference finds $name and ${name.
var reference = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// leakedArg matches an instruction that uses a variable which an earlier stage
// sets to something else than this one sees.
func leakedArg(s *site) bool {
	switch s.command.(type) {
	case nil, *instructions.CmdCommand, *instructions.EntrypointCommand, *instructions.HealthCheckCommand,
		*instructions.OnbuildCommand, *instructions.ShellCommand:
		return false // nothing that a build expands
	}
	if len(s.leaked) == 0 {
		return false
	}
	asked := map[string]bool{}
	for rest := s.text(); ; {
		at := reference.FindStringSubmatchIndex(rest)
		if at == nil {
			return false
		}
		name := rest[at[2]:at[3]]
		rest = rest[at[1]:]
		if !asked[name] && s.leaks(name) {
			return true
		}
		asked[name] = true
	}
}

// leaks reports whether the executor gives a variable the value of an earlier
// stage: one that neither the stage nor the command itself sets, or an ARG that
// the stage has from the one that it is built from.
func (s *site) leaks(name string) bool {
	other, leaked := s.leaked[name]
	if !leaked || s.assigned(name) {
		return false
	}
	seen, set, _ := s.stage.variables.get(name)
	_, own := s.stage.variables.values[name]
	return !set || !own && !seen.env && seen.value != other.value
}

// assigned reports whether a command sets a variable itself.
func (s *site) assigned(name string) bool {
	text := s.text()
	return strings.Contains(text, name+"=") ||
		strings.Contains(text, "read "+name) || strings.Contains(text, "for "+name+" ")
}
