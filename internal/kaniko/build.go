package kaniko

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/cloudlogin"
	"kiln/internal/executor"
	"kiln/internal/registry"
)

// Names of the build pod's containers.
const (
	ContainerKaniko = "kaniko"
	ContainerGate   = "gate"
)

// Build is everything that a build pod is made of.
type Build struct {
	// Name and Namespace are the pod's.
	Name      string
	Namespace string
	// Labels and OwnerReferences go on the pod.
	Labels          map[string]string
	OwnerReferences []metav1.OwnerReference
	// KanikoImage is the executor's, GateImage the one that holds kilnd.
	KanikoImage    string
	GateImage      string
	GatePullPolicy corev1.PullPolicy
	// Executor is the path of the executor in KanikoImage; empty means
	// [executor.DefaultPath].
	Executor string
	// Flavor is the Kaniko that KanikoImage holds.
	Flavor executor.Flavor
	// Rights is [executor.RightsDocker] or [executor.RightsMinimal].
	Rights string
	// OwnUsers gives the pod a user namespace of its own: root in it is nobody
	// on the node.
	OwnUsers bool
	// SnapshotMode is [executor.SnapshotFull], [executor.SnapshotRedo] or
	// [executor.SnapshotTime].
	SnapshotMode string
	// OwnArgs are the variables of the platform that the Dockerfile gives values of
	// its own.
	OwnArgs []string
	// Push is the one reference that the build may push.
	Push string
	// Pulls are the images that the build may pull, also those that only a
	// base's ONBUILD triggers name: as the Dockerfile writes them, or with the
	// digest that a tag is to be answered with, "alpine:3.20@sha256:...".
	Pulls []string
	// Inspect says which layers the gate looks through, each in the form of
	// gate.Inspection.
	Inspect []string
	// Index has the gate keep indexes of the layers that are pushed.
	Index bool
	// IndexPulled are the digests of the layers of which it keeps an index too where
	// they are pulled.
	IndexPulled []string
	// Triggers are the images that only the bases' ONBUILD triggers name; a
	// label of the image lists them.
	Triggers []string
	// Mirrors, Insecure and PlainLogin are passed to the gate.
	Mirrors    registry.Mirrors
	Insecure   []string
	PlainLogin registry.PlainLogins
	// SecretName is the kubernetes.io/dockerconfigjson Secret for the gate, or
	// empty. PullSecretName is the one that it uses for pulls instead, or empty
	// for the same one.
	SecretName     string
	PullSecretName string
	// PullAllow are the repositories that credentials are used for in pulls, in
	// the form of registry.ParseAllow; none mean all.
	PullAllow []string
	// CAConfigMap is the ConfigMap whose key ca.crt has further certificate
	// authorities for the gate, or empty.
	CAConfigMap string
	// Identity takes the place of SecretName's login for the registry that it
	// names, or is not set. Its files are those of the gate, whatever they are in
	// kilnd. ServiceAccount is whose token it is: that of the runner pod.
	Identity       cloudlogin.Identity
	ServiceAccount string
	// Proxy is how the build reaches other hosts.
	Proxy Proxy
	// Tolerations and ImagePullSecrets are the runner pod's.
	Tolerations      []corev1.Toleration
	ImagePullSecrets []corev1.LocalObjectReference
	// Arch is the platform to build for, as in GOARCH and kubernetes.io/arch.
	Arch string
	// Deadline is when the cluster ends the pod.
	Deadline time.Duration
	// Memory and EphemeralStorage limit the executor, as Kubernetes
	// quantities.
	Memory           string
	EphemeralStorage string
}
