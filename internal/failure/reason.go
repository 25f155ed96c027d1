package failure

// Reason is a class of failures, in snake_case. The set is closed: see [Reasons].
type Reason string

// The reasons. docs/failures.md lists them for people.
const (
	Misconfigured          Reason = "misconfigured" // kiln itself
	BaseImageNotFound      Reason = "base_image_not_found"
	BaseImageDenied        Reason = "base_image_denied"
	RegistryUnreachable    Reason = "registry_unreachable"
	RegistryDeniedPush     Reason = "registry_denied_push"
	DockerfileSyntax       Reason = "dockerfile_syntax"
	UnsupportedInstruction Reason = "unsupported_instruction"
	SourceMissing          Reason = "source_missing"
	InstructionFailed      Reason = "instruction_failed" // another than RUN
	RunFailed              Reason = "run_failed"
	OutOfMemory            Reason = "out_of_memory"
	DiskFull               Reason = "disk_full"
	Evicted                Reason = "evicted"
	NodeLost               Reason = "node_lost"
	ClusterUnreachable     Reason = "cluster_unreachable" // its API server
	TokenRefused           Reason = "token_refused"       // kiln's, by the API server
	Unschedulable          Reason = "unschedulable"
	NotStarted             Reason = "not_started" // by the node that took the pod
	KanikoImagePull        Reason = "kaniko_image_pull"
	ActionImagePull        Reason = "action_image_pull"
	AdmissionRefused       Reason = "admission_refused"
	Deadline               Reason = "deadline"
	Cancelled              Reason = "cancelled"
	ContextTransport       Reason = "context_transport"
	BadRequest             Reason = "bad_request"
	ActionFailed           Reason = "action_failed"
	Internal               Reason = "internal"
)

// Actor is who can do something about a failure.
type Actor string

// The actors.
const (
	Author   Actor = "author"   // of the action or its Dockerfile
	Operator Actor = "operator" // of kiln, the cluster or the registry
	Nobody   Actor = "nobody"   // nothing is wrong
)

// class is what is known about a reason.
type class struct {
	reason Reason
	actor  Actor
	retry  bool
	hint   string
}

// classes lists all reasons in the order in which a step can meet them.
func classes() []class {
	return []class{
		{Misconfigured, Operator, false, "mend the setting that the message names; kilnd doctor checks all of them"},
		{BadRequest, Author, false, "mend what the message names"},
		{DockerfileSyntax, Author, false, "mend the line of the Dockerfile"},
		{UnsupportedInstruction, Author, false, "write the instruction in the way that the message shows"},
		{ClusterUnreachable, Operator, true, "look at the API server and at the network to it"},
		{TokenRefused, Operator, false, "see that the service account is there, and replace the runner pod: kubectl delete ephemeralrunner with the pod's name"},
		{AdmissionRefused, Operator, false, "let the namespace admit kiln's pods: rights, quota, Pod Security baseline, webhooks"},
		{Unschedulable, Operator, false, "give the pod a node: capacity, selectors, taints, volumes, or a longer KILN_PENDING_TIMEOUT"},
		{NotStarted, Operator, false, "look at what the message names: a Secret or a volume that somebody removed, or the node itself"},
		{KanikoImagePull, Operator, false, "check KILN_KANIKO_IMAGE, its registry, and the imagePullSecrets of the runner pod"},
		{ContextTransport, Operator, true, "look at the API server and at the build pod's node: the build context did not arrive"},
		{BaseImageNotFound, Author, false, "check the image's name and tag in FROM or COPY --from"},
		{BaseImageDenied, Operator, false, "check the image's name, and give the registry Secret access to it"},
		{RegistryUnreachable, Operator, true, "check that the build pod reaches the registry, and that the registry is well"},
		{SourceMissing, Author, false, "check the path, which starts at the Dockerfile's directory, and .dockerignore"},
		{InstructionFailed, Author, false, "mend the instruction; the build's log says what went wrong"},
		{RunFailed, Author, false, "mend the command; the build's log has its output"},
		{OutOfMemory, Operator, false, "raise KILN_BUILD_MEMORY, or the limit of the job container, or let it need less"},
		{DiskFull, Operator, false, "raise KILN_BUILD_STORAGE, or let the build write less"},
		{Evicted, Operator, true, "look at why the cluster evicts pods: node pressure, a drain, a higher priority"},
		{NodeLost, Operator, true, "look at the node of the pod"},
		{RegistryDeniedPush, Operator, false, "check that the registry Secret may push to the repository"},
		{ActionImagePull, Operator, false, "check the pull host, its Secret, and the way from the nodes to it"},
		{Deadline, Author, false, "make it faster, or have an operator raise the limit that the message names"},
		{ActionFailed, Author, false, "mend the action; the step's log has its output"},
		{Cancelled, Nobody, false, "run the job again if that was not meant"},
		{Internal, Operator, false, "look at kilnd's log, and report what it says"},
	}
}

// Reasons returns all reasons. The slice is the caller's.
func Reasons() []Reason {
	var all []Reason
	for _, c := range classes() {
		all = append(all, c.reason)
	}
	return all
}

// class returns what is known about r; what is not in the set is internal.
func (r Reason) class() class {
	var internal class
	for _, c := range classes() {
		if c.reason == r {
			return c
		}
		internal = c
	}
	return internal
}

// Retry reports whether another attempt may end differently: the fault is that
// of the infrastructure and may pass. How often is for the caller to bound.
func (r Reason) Retry() bool { return r.class().retry }

// Mark is how the reason ends the line of a log that says why a step failed:
// docs/failures.md lists what stands between the brackets.
func (r Reason) Mark() string { return "[" + string(r) + "]" }

// Hint is what to do next, one short clause for [Reason.Actor].
func (r Reason) Hint() string { return r.class().hint }

// Actor is who can act on a failure of this class.
func (r Reason) Actor() Actor { return r.class().actor }
