package config

import (
	"fmt"
	"path"

	"kiln/internal/executor"
)

// Flavor resolves which Kaniko the executor's image holds, or returns an error that
// names the setting to mend. Who needs it is told, and does not ask here.
func (s *Settings) Flavor() (executor.Flavor, error) {
	return executor.ChooseFlavor(s.KanikoImage, s.KanikoFlavor)
}

// validateBuilder reports what is wrong with the settings of Kaniko.
func (s *Settings) validateBuilder() []error {
	var errs []error
	if _, err := s.Flavor(); err != nil {
		errs = append(errs, err)
	}
	if !path.IsAbs(s.Executor) {
		errs = append(errs, fmt.Errorf("KILN_KANIKO_EXECUTOR is %q: write an absolute path, as %s", s.Executor, executor.DefaultPath))
	}
	if s.BuildRights != executor.RightsDocker && s.BuildRights != executor.RightsMinimal {
		errs = append(errs, fmt.Errorf("KILN_BUILD_RIGHTS is %q: write %s or %s", s.BuildRights, executor.RightsDocker, executor.RightsMinimal))
	}
	switch s.BuildUserns {
	case UsernsAuto, UsernsOn, UsernsOff:
	default:
		errs = append(errs, fmt.Errorf("KILN_BUILD_USERNS is %q: write %s, %s or %s", s.BuildUserns, UsernsAuto, UsernsOn, UsernsOff))
	}
	switch s.SnapshotMode {
	case executor.SnapshotFull, executor.SnapshotRedo, executor.SnapshotTime:
	default:
		errs = append(errs, fmt.Errorf("KILN_SNAPSHOT_MODE is %q: write %s, %s or %s",
			s.SnapshotMode, executor.SnapshotFull, executor.SnapshotRedo, executor.SnapshotTime))
	}
	return errs
}
