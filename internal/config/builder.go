package config

import (
	"fmt"
	"path"

	"kiln/internal/kaniko"
)

// Flavor returns the Kaniko that the executor's image holds, or an error that
// names the setting to mend.
func (s *Settings) Flavor() (kaniko.Flavor, error) {
	return kaniko.ChooseFlavor(s.KanikoImage, s.KanikoFlavor)
}

// validateBuilder reports what is wrong with the settings of Kaniko.
func (s *Settings) validateBuilder() []error {
	var errs []error
	if _, err := s.Flavor(); err != nil {
		errs = append(errs, err)
	}
	if !path.IsAbs(s.Executor) {
		errs = append(errs, fmt.Errorf("KILN_KANIKO_EXECUTOR is %q: write an absolute path, as %s", s.Executor, kaniko.DefaultExecutor))
	}
	if s.BuildRights != kaniko.RightsDocker && s.BuildRights != kaniko.RightsMinimal {
		errs = append(errs, fmt.Errorf("KILN_BUILD_RIGHTS is %q: write %s or %s", s.BuildRights, kaniko.RightsDocker, kaniko.RightsMinimal))
	}
	switch s.BuildUserns {
	case UsernsAuto, UsernsOn, UsernsOff:
	default:
		errs = append(errs, fmt.Errorf("KILN_BUILD_USERNS is %q: write %s, %s or %s", s.BuildUserns, UsernsAuto, UsernsOn, UsernsOff))
	}
	switch s.SnapshotMode {
	case kaniko.SnapshotFull, kaniko.SnapshotRedo, kaniko.SnapshotTime:
	default:
		errs = append(errs, fmt.Errorf("KILN_SNAPSHOT_MODE is %q: write %s, %s or %s",
			s.SnapshotMode, kaniko.SnapshotFull, kaniko.SnapshotRedo, kaniko.SnapshotTime))
	}
	return errs
}
