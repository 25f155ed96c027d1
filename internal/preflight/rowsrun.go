package preflight

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// runRows are the constructs of RUN.
func runRows() []Row {
	return slices.Concat(heredocRows(), mountRows(), isolationRows(), userRows())
}

func heredocRows() []Row {
	const advice = "Write the commands in one RUN with && between them, or COPY a script and run it."
	return []Row{
		{
			ID:         "RunHeredoc",
			Name:       "RUN with a heredoc and a command",
			Example:    "FROM busybox\nRUN cat <<EOF > /a\na\nEOF\n",
			Chainguard: Mend,
			Message:    "this Kaniko does not run a heredoc: the RUN would do nothing",
			Advice:     advice,
			match:      func(s *site) bool { return heredoc(s) && !scriptHeredoc(s) },
			mend:       mendScript,
		},
		{
			ID:                "RunHeredocAlone",
			Name:              "RUN heredoc without a command",
			Example:           "FROM busybox\nRUN <<EOF\nA=a; echo $A > /a\nEOF\n",
			Chainguard:        Mend,
			Osscontainertools: Mend,
			Message:           "Kaniko does not run a heredoc alone as Docker does",
			Advice:            advice,
			match:             func(s *site) bool { return scriptHeredoc(s) && !program(s) },
			mend:              mendScript,
		},
		{
			ID:                "RunHeredocProgram",
			Name:              "RUN heredoc that begins with #!",
			Example:           "FROM busybox\nRUN <<EOF\n#!/bin/sh\necho a > /a\nEOF\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Docker runs this heredoc as a program of its own, Kaniko does not",
			Advice:            "COPY the script from a heredoc or a file, and run it.",
			match:             program,
		},
	}
}

func mountRows() []Row {
	return []Row{
		{
			ID:         "RunMountBind",
			Name:       "RUN --mount=type=bind",
			Example:    "FROM busybox\nRUN --mount=target=/src cp /src/a /a\n",
			Chainguard: Refuse,
			Message:    "this Kaniko ignores --mount=type=bind: the RUN would not find the files",
			Advice:     "COPY the files; in an earlier stage, from which COPY --from takes the result, they stay out of the image. Or have the operator set KILN_KANIKO_IMAGE to a Kaniko of osscontainertools.",
			match:      mounts(func(m *instructions.Mount) bool { return m.Type == instructions.MountTypeBind }),
		},
		{
			ID:                "RunMountFrom",
			Name:              "RUN --mount with from",
			Example:           "FROM busybox AS a\nRUN echo 1 > /1\nFROM busybox\nRUN --mount=from=a,target=/a cp /a/1 /1\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko ignores a mount from a stage or an image: the RUN would not find the files",
			Advice:            "Use COPY --from.",
			match:             mounts(func(m *instructions.Mount) bool { return m.From != "" }),
		},
		{
			ID:                "RunMountRelative",
			Name:              "RUN --mount with a relative target",
			Example:           "FROM busybox\nWORKDIR /w\nRUN --mount=target=src ls src\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko takes the target of a mount from the root, Docker from the working directory",
			Advice:            "Write the target as an absolute path.",
			match: mounts(func(m *instructions.Mount) bool {
				return m.Target != "" && !path.IsAbs(m.Target) && (m.Type == instructions.MountTypeBind || m.Type == instructions.MountTypeCache)
			}),
		},
		{
			ID:         "RunMountCache",
			Name:       "RUN --mount=type=cache",
			Example:    "FROM busybox\nRUN --mount=type=cache,target=/cache echo 1 > /cache/1\n",
			Chainguard: Refuse,
			Message:    "this Kaniko ignores --mount=type=cache: what the RUN caches would end up in the image",
			Advice:     "Remove the mount and delete the cache in the same RUN: a build keeps no cache for the next one anyway.",
			match:      mounts(func(m *instructions.Mount) bool { return m.Type == instructions.MountTypeCache }),
		},
		{
			ID:                "RunMountTmpfs",
			Name:              "RUN --mount=type=tmpfs",
			Example:           "FROM busybox\nRUN --mount=type=tmpfs,target=/scratch echo 1 > /scratch/1\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko ignores --mount=type=tmpfs: what the RUN writes there would end up in the image",
			Advice:            "Remove the mount and delete the files in the same RUN.",
			match:             mounts(func(m *instructions.Mount) bool { return m.Type == instructions.MountTypeTmpfs }),
		},
		{
			ID:                "RunMountRequired",
			Name:              "RUN --mount=type=secret or ssh, required",
			Example:           "FROM busybox\nRUN --mount=type=secret,id=token,required=true cat /run/secrets/token\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "the RUN requires a secret or an SSH agent, and a runner passes none to a build, so docker build would fail too",
			Advice:            "Leave required out if the step works without it, or fetch what it needs at run time.",
			match:             mounts(requiredMount),
		},
	}
}

func isolationRows() []Row {
	return []Row{
		{
			ID:                "RunNetwork",
			Name:              "RUN --network",
			Example:           "FROM busybox\nRUN --network=none true\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko ignores --network: the RUN would have the build pod's network",
			Advice:            "Remove the flag; a NetworkPolicy of the operator limits what build pods reach.",
			match: run(func(_ *site, c *instructions.RunCommand) bool {
				network := instructions.GetNetwork(c)
				return network != "" && network != instructions.NetworkDefault
			}),
		},
		{
			ID:                "RunSecurity",
			Name:              "RUN --security or --device",
			Example:           "FROM busybox\nRUN --security=insecure true\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "a build has no more rights and no devices, so docker build on a runner would fail too",
			Advice:            "Remove the flag.",
			match: run(func(_ *site, c *instructions.RunCommand) bool {
				security := instructions.GetSecurity(c)
				return security != "" && security != instructions.SecuritySandbox || len(instructions.GetDevices(c)) > 0
			}),
		},
		{
			ID:                "RunNamesKaniko",
			Name:              "RUN that names /kaniko",
			Example:           "FROM busybox\nRUN mkdir -p /kaniko/x\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "/kaniko belongs to the builder: what a RUN writes there is lost, and changing it can break the build",
			Advice:            "Use another directory.",
			match: run(func(s *site, _ *instructions.RunCommand) bool {
				return strings.Contains(s.text(), "/kaniko") && namesKaniko.MatchString(s.text())
			}),
		},
	}
}

// namesKaniko finds the builder's directory as a word of a command.
var namesKaniko = regexp.MustCompile(`(^|[\s=:;&|"'(>])/kaniko(/|[\s;&|"')]|$)`)

// run matches a RUN.
func run(match func(*site, *instructions.RunCommand) bool) func(*site) bool {
	return func(s *site) bool {
		c, ok := s.command.(*instructions.RunCommand)
		return ok && match(s, c)
	}
}

// mounts matches a RUN with a mount of a kind.
func mounts(match func(*instructions.Mount) bool) func(*site) bool {
	return run(func(_ *site, c *instructions.RunCommand) bool {
		return slices.ContainsFunc(instructions.GetMounts(c), match)
	})
}

func requiredMount(m *instructions.Mount) bool {
	return m.Required && (m.Type == instructions.MountTypeSecret || m.Type == instructions.MountTypeSSH)
}

func heredoc(s *site) bool {
	_, ok := s.command.(*instructions.RunCommand)
	return ok && len(s.node.Heredocs) > 0
}

// scriptHeredoc matches a RUN that is nothing but heredocs. Docker runs one as a
// script; osscontainertools gives the SHELL "<<EOF sh" with the text, so that it
// expands the text first, and nothing at all where the name has quotes or a dash
// (pkg/commands/run.go, runCommandInExec).
func scriptHeredoc(s *site) bool {
	c, ok := s.command.(*instructions.RunCommand)
	return ok && len(c.Files) > 0 && (s.lone(c) || bareHeredoc.MatchString(strings.Join(c.CmdLine, " ")))
}

// program matches a RUN that is nothing but a heredoc which begins with #!.
func program(s *site) bool {
	c, ok := s.command.(*instructions.RunCommand)
	return ok && s.lone(c) && strings.HasPrefix(body(c), "#!")
}

// bareHeredoc finds a command line of heredocs alone.
var bareHeredoc = regexp.MustCompile(`^(\d*<<-?\s*\S+\s*)+$`)
