package doctor

import (
	"context"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"kiln/internal/config"
	"kiln/internal/podrun"
	"kiln/internal/registry"
	"kiln/internal/request"
	"kiln/internal/runnerpod"
)

// Place is where an examination looks from.
type Place string

// The places.
const (
	// Sidecar is the kiln container of a runner pod.
	Sidecar Place = "sidecar"
	// Outside is everywhere else, with the rights of whoever asks.
	Outside Place = "outside"
)

// Options say what is examined.
type Options struct {
	Place Place
	// Cluster is how to reach it.
	Cluster *rest.Config
	// Namespace is that of the runner pods.
	Namespace string
	// PodName is the runner pod, for Sidecar.
	PodName string
	// Env are the variables of the kiln container, for Sidecar.
	Env map[string]string
	// Patience is how long one thing of the cluster may take, such as the pull
	// of an image.
	Patience time.Duration
}

// Time limits of the checks that ask for one answer or a few.
const (
	shortLimit = 20 * time.Second
	loginLimit = 40 * time.Second
)

// examination is what the checks find out and tell one another. A field is
// written by one check, and read by those that wait for it.
type examination struct {
	Options
	client podrun.Client

	// Of kubernetes.
	server clockReading
	// Of scale-sets: those of the namespace; none for Sidecar.
	sets []scaleSet
	// Of runner-pod: the pods with a kiln container; the own one for Sidecar.
	pods []corev1.Pod
	self runnerpod.Self
	arch string
	// Of settings.
	env      map[string]string
	settings *config.Settings
	operator *request.Operator // nil where the settings are of no use
	// Of secret: what is known of the registry's Secret.
	credentials []byte
	// Of registry.
	registry *registry.Client
	reached  bool
	clock    clockReading
	trial    trial
}

// trial is the image that is pushed and pulled.
type trial struct {
	push, pull string // by tag
	digest     string // once its push has begun
	pushed     bool
}

// Run examines an installation. It returns when all checks have ended; ctx
// interrupts those that still run, and what they created is deleted all the
// same.
func Run(ctx context.Context, o Options) (Report, error) {
	// Warnings of admission are in the findings, where they are of use.
	o.Cluster = rest.CopyConfig(o.Cluster)
	o.Cluster.WarningHandler = rest.NoWarnings{}
	client, err := podrun.NewClient(o.Cluster, o.Namespace)
	if err != nil {
		return Report{}, err
	}
	e := &examination{Options: o, client: client}
	report := Report{Version: 1, Place: o.Place, Namespace: o.Namespace, Pod: o.PodName}
	report.Findings = runAll(ctx, e.checks())
	report.Faults, report.Warnings = report.Count(Fail), report.Count(Warn)
	return report, ctx.Err()
}

// checks are all checks, in the order of the report.
func (e *examination) checks() []check {
	pull := e.Patience + shortLimit
	checks := []check{
		{name: "kubernetes", limit: shortLimit, run: e.kubernetes},
		{name: "scale-sets", needs: []string{"kubernetes"}, limit: shortLimit, run: e.scaleSets},
		{name: "runner-pod", after: []string{"scale-sets"}, needs: []string{"kubernetes"}, limit: shortLimit, run: e.runnerPod},
		{name: "arc", needs: []string{"runner-pod"}, limit: shortLimit, run: e.eachPod(arcFindings, "no runner pod has the label of a release of Actions Runner Controller")},
		{name: "overlay", needs: []string{"runner-pod"}, limit: shortLimit, run: e.eachPod(overlayFindings, "the kiln containers are as the overlay has them")},
		{name: "hook", needs: []string{"runner-pod"}, limit: shortLimit, run: e.eachPod(hookFindings, "the runner calls kiln's hook")},
		{name: "work-volume", needs: []string{"runner-pod"}, limit: shortLimit, run: e.eachPod(workFindings, "the work folder is a persistent volume claim")},
		{name: "settings", after: []string{"runner-pod"}, limit: shortLimit, run: e.readSettings},
		{name: "job-started", after: []string{"settings"}, needs: []string{"runner-pod"}, limit: shortLimit, run: e.jobStarted},
		{name: "plain-login", after: []string{"settings"}, limit: shortLimit, run: e.plainLogin},
		{name: "exchange", after: []string{"settings"}, needs: []string{"runner-pod"}, limit: shortLimit, run: e.exchange},
		{name: "state", after: []string{"settings"}, needs: []string{"runner-pod"}, limit: shortLimit, run: e.state},
		{name: "daemon", needs: []string{"runner-pod", "settings"}, limit: shortLimit, run: e.daemon},
		{name: "delegate", after: []string{"settings"}, needs: []string{"runner-pod"}, limit: shortLimit, run: e.delegate},
		{name: "permissions", after: []string{"runner-pod"}, needs: []string{"kubernetes"}, limit: loginLimit, run: e.permissions},
		{name: "pod-security", after: []string{"settings"}, needs: []string{"runner-pod"}, limit: loginLimit, run: e.podSecurity},
		{name: "secret", after: []string{"settings"}, needs: []string{"kubernetes"}, limit: shortLimit, run: e.secret},
		{name: "registry", after: []string{"settings", "secret"}, limit: loginLimit, run: e.reach},
		{name: "clock", after: []string{"registry", "kubernetes"}, limit: shortLimit, run: e.clocks},
		{name: "login", needs: []string{"registry"}, limit: loginLimit, run: e.login},
		{name: "push", after: []string{"runner-pod"}, needs: []string{"login"}, limit: loginLimit, run: e.push},
		{name: "node-pull", needs: []string{"push", "pod-security"}, limit: pull, run: e.nodePull},
		{name: "door", needs: []string{"work-volume", "pod-security"}, limit: 2*e.Patience + loginLimit, run: e.door},
		{name: "kaniko", after: []string{"settings", "registry"}, limit: loginLimit, run: e.kaniko},
		{name: "kaniko-pull", needs: []string{"kaniko", "pod-security"}, limit: pull, run: e.kanikoPull},
		{name: "cleanup", after: []string{"push", "node-pull"}, limit: loginLimit, always: true, run: e.cleanup},
	}
	return checks
}

// eachPod looks at the specifications of all runner pods, and names the pod
// where there are several.
func (e *examination) eachPod(look func(*corev1.Pod) []Finding, sound string) func(context.Context) []Finding {
	return func(context.Context) []Finding {
		if len(e.pods) == 0 {
			return skip(noPod)
		}
		return orOK(perPod(e.pods, look), sound)
	}
}

// noPod is why the specification of a runner pod cannot be looked at.
const noPod = "there is no runner pod with kiln in the namespace now"

// perPod gathers what look says of the pods: what it says of several is said
// once.
func perPod(pods []corev1.Pod, look func(*corev1.Pod) []Finding) []Finding {
	var all []Finding
	names := map[Finding][]string{}
	for i := range pods {
		for _, finding := range look(&pods[i]) {
			if len(names[finding]) == 0 {
				all = append(all, finding)
			}
			names[finding] = append(names[finding], pods[i].Name)
		}
	}
	if len(pods) == 1 {
		return all
	}
	for i, finding := range all {
		of := names[finding]
		if len(of) > 3 {
			of = append(of[:3:3], "…")
		}
		all[i].Seen = "pod " + strings.Join(of, ", ") + ": " + finding.Seen
	}
	return all
}

// inSidecar reports whether the examination looks from the kiln container.
func (e *examination) inSidecar() bool { return e.Place == Sidecar }

// readFile reads a file of the kiln container.
func (e *examination) readFile(path string) ([]byte, error) { return os.ReadFile(path) }
