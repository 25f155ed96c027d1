package kaniko

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/executor"
)

// feature is a switch of osscontainertools, FF_KANIKO_ with its name. It is set
// in each build, so that no release changes a result by another default.
type feature struct {
	name string
	on   bool
}

// features are the switches that change what is built, and those that a later
// release turns on at a price (pkg/config/featureflags.go at 1.28.3, and its
// branch for 1.29).
func features() []feature {
	return []feature{
		{"BUILDKIT_ARG_ENV_PRECEDENCE", true},
		{"CHOWN_ON_IMPLICIT_DIRS", true},
		{"COPY_AS_ROOT", true},
		{"COPY_CHMOD_ON_IMPLICIT_DIRS", true},
		{"EXPAND_HEREDOC", true},
		{"NO_PROPAGATE_ANNOTATIONS", true},
		{"PRESERVE_HARDLINKS", true},
		{"PRESERVE_MOUNTED_PATHS", true},
		{"RELATIVE_LINK_TARGETS", true},
		{"RUN_HONOR_GROUP", true},
		{"RUN_MOUNT_BIND", true},
		{"SECUREJOIN_EXTRACTION", true},
		{"UNTAR_SKIP_ROOT", true},
		{"VOLUME_SKIP_MKDIR", true},
		// Mounts of layers from other repositories: the gate serves one for pushes.
		{"CROSS_REPO_MOUNT", false},
		{"OCI_SCRATCH_BASE", false},
		// Puts /kaniko/tini, which slim images have not, before each RUN.
		{"RUN_VIA_TINI", false},
		{"SCOPED_DOCKERIGNORE", false},
		// Keeps bases on the disk of the build pod.
		{"SHARED_BASE_CACHE", false},
		{"SKIP_RELABEL_RECOMPRESS", false},
		{"SKIP_WRITE_WHITEOUTS", false},
	}
}

// switches sets those of a flavor. None of them is a secret: a RUN can read
// them.
func switches(f executor.Flavor) []corev1.EnvVar {
	if f.Name != executor.Osscontainertools {
		return nil
	}
	var env []corev1.EnvVar
	for _, feature := range features() {
		env = append(env, corev1.EnvVar{Name: "FF_KANIKO_" + feature.name, Value: strconv.FormatBool(feature.on)})
	}
	return env
}
