package executor

// DefaultPath is the executor in the images of both forks (ENTRYPOINT in their
// deploy/Dockerfile).
const DefaultPath = "/kaniko/executor"

// Rights of a build: what the processes of a RUN may do.
const (
	// RightsDocker is what Docker gives a RUN, as far as Pod Security
	// "baseline" allows it: without NET_RAW. Setuid programs work.
	RightsDocker = "docker"
	// RightsMinimal is what unpacking a base, COPY, USER and a package manager
	// need, and no way to more: a RUN cannot use setuid programs, chroot or
	// device nodes.
	RightsMinimal = "minimal"
)

// Modes of snapshots: how the executor finds what a RUN changed.
const (
	// SnapshotFull reads and compares every file: slow on large bases, misses
	// nothing.
	SnapshotFull = "full"
	// SnapshotRedo compares size, mode, owner and modification time: a file
	// that changes and keeps them all keeps its old content, in silence.
	SnapshotRedo = "redo"
	// SnapshotTime compares modification times alone: it also loses a chmod and
	// a chown.
	SnapshotTime = "time"
)
