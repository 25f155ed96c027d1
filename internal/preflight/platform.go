package preflight

import (
	"fmt"
	"runtime"

	"github.com/containerd/platforms"
)

// ownPlatform is the one platform that kiln builds for.
func ownPlatform() string { return runtime.GOOS + "/" + runtime.GOARCH }

// checkPlatform reports a platform of FROM that the executor cannot build for:
// it runs the stage's commands on its own node.
func checkPlatform(platform string) error {
	if platform == "" {
		return nil
	}
	parsed, err := platforms.Parse(platform)
	if err != nil {
		return fmt.Errorf("failed to parse platform %s", platform)
	}
	if parsed.Variant != "" && platforms.Normalize(parsed).Variant != "" {
		return fmt.Errorf("the platform %s is a variant, and this runner builds for %s alone: leave the variant out", platform, ownPlatform())
	}
	if parsed.OS != runtime.GOOS || parsed.Architecture != runtime.GOARCH {
		return fmt.Errorf("the platform is %s, and this runner builds for %s alone: Kaniko does not emulate another one",
			platform, ownPlatform())
	}
	return nil
}
