package kaniko

// Values of Build.SnapshotMode: how the executor finds what a RUN changed.
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
