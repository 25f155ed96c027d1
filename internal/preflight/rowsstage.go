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
			Message:    "this Kaniko loses count of the stages when it leaves one out",
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
			Name:       "a stage that nothing uses, and no other stage is copied from",
			Example:    "FROM busybox AS a\nRUN true\nFROM busybox\nRUN true\n",
			Chainguard: Warn,
			Message:    "this Kaniko builds all stages of a Dockerfile whose last one copies from none, so one that nothing uses can fail the build",
			Advice:     "Remove the stage that nothing uses.",
			match: func(s *site) bool {
				if s.stage == nil || s.command != nil || !s.walker.unused() {
					return false
				}
				return s.stage.index == len(s.walker.stages)-1 && !s.walker.copiesFromStage(s.stage)
			},
		},
	}
}

// copiesFromStage reports whether a stage takes something from another one than
// its base.
func (w *walker) copiesFromStage(s *stage) bool {
	if s.base == nil {
		return len(s.needs) > 0
	}
	return len(s.needs) > 1
}
