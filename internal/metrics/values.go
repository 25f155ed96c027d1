package metrics

// Kind is what a request asks for.
type Kind string

// Kinds of requests.
const (
	KindDockerfile Kind = "dockerfile" // build an action's image, then run it
	KindImage      Kind = "image"      // run an image that exists
	KindPrepare    Kind = "prepare"    // start the containers of a job
	KindCleanup    Kind = "cleanup"    // remove them
	KindExplain    Kind = "explain"    // say what became of the job container
	KindUnknown    Kind = "unknown"    // the request could not be read
)

// Outcome is how a request ended.
type Outcome string

// Outcomes of requests.
const (
	StepSucceeded Outcome = "succeeded" // the action ended with 0
	StepFailed    Outcome = "failed"    // the action ended with another code
	StepRefused   Outcome = "refused"   // the request cannot be used
	StepCancelled Outcome = "cancelled" // the runner cancelled it or went away
	StepError     Outcome = "error"     // the action did not run to its end
)

// Build is how the need for an image was met.
type Build string

// Outcomes of builds.
const (
	BuildBuilt     Build = "built"     // by a pod of this daemon's
	BuildReused    Build = "reused"    // by an image of the registry
	BuildFollowed  Build = "followed"  // by a pod of another request's
	BuildCancelled Build = "cancelled" // not, because the step was cancelled
	BuildFailed    Build = "failed"    // not; kiln_failures_total has the reasons
)

// Wish is what became of an image that a job's actions may want, before a step asked.
type Wish string

// Outcomes of wishes.
const (
	WishBuilt     Wish = "built"     // by a pod of this daemon's
	WishReused    Wish = "reused"    // the registry had the image
	WishFollowed  Wish = "followed"  // a pod of another request's built it
	WishYielded   Wish = "yielded"   // given up, because the cluster had no room
	WishCancelled Wish = "cancelled" // given up, because the job was over, or a step had come before
	WishFailed    Wish = "failed"    // it cannot be built; the step says why
	WishRefused   Wish = "refused"   // no wish, or more than a job may have
)

// Phase is a part of a step.
type Phase string

// Phases of a step, in their order.
const (
	PhaseQueue     Phase = "queue"     // from the request's drop to its start: for the daemon, and for a free slot
	PhaseContext   Phase = "context"   // the context is checked and copied
	PhasePreflight Phase = "preflight" // the Dockerfile is read
	PhaseLookup    Phase = "lookup"    // the registry is asked for bases and image
	PhaseSchedule  Phase = "schedule"  // a pod is created, placed, pulled and started
	PhaseBuild     Phase = "build"     // Kaniko builds
	PhasePush      Phase = "push"      // the image goes to the registry
	PhaseAssemble  Phase = "assemble"  // kiln puts the image together and pushes it
	PhaseServices  Phase = "services"  // the services of a job get ready
	PhaseRun       Phase = "run"       // the action runs
	PhaseCleanup   Phase = "cleanup"   // what a job has is deleted
)

// closed sets, in the order of the documentation.
func kinds() []string {
	return texts(KindDockerfile, KindImage, KindPrepare, KindCleanup, KindExplain, KindUnknown)
}

func outcomes() []string {
	return texts(StepSucceeded, StepFailed, StepRefused, StepCancelled, StepError)
}

func builds() []string {
	return texts(BuildBuilt, BuildReused, BuildFollowed, BuildCancelled, BuildFailed)
}

func wishes() []string {
	return texts(WishBuilt, WishReused, WishFollowed, WishYielded, WishCancelled, WishFailed, WishRefused)
}

func phases() []string { return texts(Phases()...) }

// Phases returns all phases, in their order. The slice is the caller's.
func Phases() []Phase {
	return []Phase{PhaseQueue, PhaseContext, PhasePreflight, PhaseLookup, PhaseSchedule, PhaseBuild, PhasePush, PhaseAssemble, PhaseServices, PhaseRun, PhaseCleanup}
}

// watchModes are the ways to learn of requests.
func watchModes() []string { return []string{"inotify", "polling"} }

// codes are the classes of answers. The codes that call for different mending
// stand alone; "none" is a request without an answer.
func codes() []string {
	return []string{"1xx", "2xx", "3xx", "401", "403", "404", "409", "429", "4xx", "5xx", "none"}
}

// texts turns values of one kind into strings.
func texts[T ~string](values ...T) []string {
	list := make([]string, 0, len(values))
	for _, value := range values {
		list = append(list, string(value))
	}
	return list
}
