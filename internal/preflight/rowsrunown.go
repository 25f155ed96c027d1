package preflight

import (
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// runOwnRows are the constructs of RUN that meet what every container has of its own,
// and of pipes and devices, which Kaniko leaves out when it unpacks a stage again, and
// waits for ever to copy.
func runOwnRows() []Row {
	return []Row{
		{
			ID:                "RunContainerPath",
			Name:              "RUN that writes /etc/mtab or uses /etc/hostname",
			Example:           "FROM busybox\nRUN ln -sf /proc/mounts /etc/mtab\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "the file belongs to the running container: what a RUN writes there is missing from the image, and what it reads is of the build pod",
			Advice:            "Leave it out: the container that runs the image has files of its own there.",
			match: run(func(s *site, _ *instructions.RunCommand) bool {
				return strings.Contains(s.text(), "/etc/hostname") && ownName.MatchString(s.text()) ||
					strings.Contains(s.text(), "mtab") && writesMtab.MatchString(s.text())
			}),
		},
		{
			ID:                "RunSpecialFile",
			Name:              "RUN that makes a named pipe or a device in a stage that another one is built from or copies",
			Example:           "FROM busybox AS a\nRUN mkfifo /q\nFROM busybox\nCOPY --from=a /q /q\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko takes no named pipes and devices along from one stage to another: they are missing, or the build hangs",
			Advice:            "Make it in the last stage, or in the action's entrypoint.",
			match:             takesSpecial,
		},
	}
}

// ownName finds a use of /etc/hostname in a command.
var ownName = regexp.MustCompile(`(^|[\s=:;&|"'(<>])/etc/hostname([\s;&|"')]|$)`)

// writesMtab finds a command that makes /etc/mtab.
var writesMtab = regexp.MustCompile(`\b(ln|cp|mv|tee|touch|install)\b[^;&|\n]*\bmtab\b|>\s*["']?(/etc/)?mtab\b`)
