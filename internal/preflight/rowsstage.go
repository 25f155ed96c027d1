package preflight

import (
	"strconv"
)

// stageRows are the constructs of stages that nothing uses.
func stageRows() []Row {
	return []Row{
		{
			ID:         "StageNumber",
			Name:       "a stage that nothing uses, beside one that is used by its number",
			Example:    "FROM busybox AS a\nRUN true\nFROM busybox\nRUN true\nFROM busybox\nCOPY --from=1 /bin/true /t\n",
			Chainguard: Mend,
			Message:    "a stage that is left out changes the numbers of the others",
			Advice:     "Name the stage with FROM ... AS and copy from that name, or remove the stage that nothing uses.",
			mend:       mendNumber,
			match: func(s *site) bool {
				c, ok := s.copying()
				_, err := strconv.Atoi(c.from)
				return ok && err == nil && s.walker.unused()
			},
		},
		{
			ID:         "StageUnused",
			Name:       "a stage that nothing uses",
			Example:    "FROM busybox AS a\nRUN true\nFROM busybox\nRUN true\n",
			Chainguard: Mend,
			Message:    "this Kaniko builds it, so it can fail the build",
			Advice:     "Remove the stage that nothing uses.",
			mend:       mendUnused,
			match: func(s *site) bool {
				return s.stage != nil && s.command == nil && s.stage.index == len(s.walker.stages)-1 && s.walker.unused()
			},
		},
	}
}
