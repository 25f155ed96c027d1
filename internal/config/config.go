// Package config is what an operator can set of the daemon: flags and
// environment variables, their defaults and their limits.
//
// The registry's variables have the names that ADR 0034 of
// actions/runner-container-hooks gives them ("Build container-action
// Dockerfiles with Kaniko"); all others begin with KILN_. Nothing here ever
// comes from a request. The package reads no files and talks to nobody.
package config

import (
	"errors"
	"fmt"
	"net"
	"time"

	"kiln/internal/buildcontext"
	"kiln/internal/podoptions"
	"kiln/internal/registry"
)

// Settings are the daemon's settings, filled by kong. The zero value is not
// valid; kong sets the defaults that the tags name.
type Settings struct {
	RegistryHost   string `help:"Registry and path below which images are pushed and pulled, for example ghcr.io/acme/kiln." env:"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST"`
	RegistryPush   string `name:"registry-host-push" help:"The same, for pushing only. Default: the registry host." env:"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PUSH"`
	RegistryPull   string `name:"registry-host-pull" help:"The same, as the nodes pull it. Default: the registry host." env:"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PULL"`
	RegistrySecret string `name:"registry-secret-name" help:"Secret of type kubernetes.io/dockerconfigjson in the runner's namespace with the registry's credentials." env:"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_SECRET_NAME"`

	ImageName    string   `help:"One repository for all images, below the registry host. Default: the workspace's name." env:"KILN_IMAGE_NAME"`
	Insecure     []string `name:"insecure-registries" help:"Registries that are spoken to by plain HTTP." env:"KILN_INSECURE_REGISTRIES"`
	PlainLogin   []string `help:"Registries, token servers and proxies that a login may be sent to without TLS, as registry.example.com:5000. Code in a build or in the runner container can read what is sent there. Default: none." env:"KILN_PLAIN_LOGIN"`
	Mirrors      []string `name:"registry-mirrors" help:"Mirrors of registries, as docker.io=mirror.example.com." env:"KILN_REGISTRY_MIRRORS"`
	PullSecret   string   `name:"pull-secret-name" help:"Secret of type kubernetes.io/dockerconfigjson for pulling base images. Default: the registry's." env:"KILN_PULL_SECRET_NAME"`
	PullAllow    []string `help:"Repositories for which credentials are used to pull base images and ready images of actions, as ghcr.io/acme/** or docker.io; others are pulled anonymously. Default: all." env:"KILN_PULL_ALLOW"`
	CAConfigMap  string   `name:"ca-configmap" help:"ConfigMap whose key ca.crt has further certificate authorities for registries, in PEM form; the gates of build pods mount it." env:"KILN_CA_CONFIGMAP"`
	CAFile       string   `help:"The same as a file in this container, for kiln's own requests to registries." env:"KILN_CA_FILE"`
	DockerConfig string   `help:"The registry's Secret as a file in this container, for kiln's own requests to registries; a missing file means none." default:"/var/run/kiln-registry/.dockerconfigjson" env:"KILN_DOCKER_CONFIG"`
	PullDocker   string   `name:"pull-docker-config" help:"The same for KILN_PULL_SECRET_NAME. Default: KILN_DOCKER_CONFIG, or none where KILN_PULL_SECRET_NAME is another Secret." env:"KILN_PULL_DOCKER_CONFIG"`
	Tag          string   `help:"How images are tagged: content, by what they are built from, so that the same build is found again, or random." default:"content" env:"KILN_TAG"`
	Assemble     string   `help:"Whether kiln puts what runs nothing on top of what does itself, without a build pod: on, or off to have Kaniko build whole images. It takes KILN_TAG=content." default:"on" env:"KILN_ASSEMBLE"`
	KanikoImage  string   `help:"Image of the Kaniko executor." default:"${kaniko_image}" env:"KILN_KANIKO_IMAGE"`
	KanikoFlavor string   `help:"Which Kaniko that image holds: osscontainertools@1.28 or chainguard@1.25.16. Default: told by the image's name; a mirror with a name of its own needs it." env:"KILN_KANIKO_FLAVOR"`
	Executor     string   `name:"kaniko-executor" help:"Path of Kaniko's executor in that image." default:"/kaniko/executor" env:"KILN_KANIKO_EXECUTOR"`
	SnapshotMode string   `help:"How Kaniko finds what a RUN changed: full reads every file; redo and time are faster and miss changes that keep size or time." default:"full" env:"KILN_SNAPSHOT_MODE"`

	Identity               string `help:"Cloud whose service account token takes the place of a password for the registry: aws (ECR), azure (ACR) or gcp (Artifact Registry). Default: none." env:"KILN_IDENTITY"`
	IdentityToken          string `name:"identity-token-file" help:"That token as a file in this container, for kiln's own requests to the registry." default:"/var/run/kiln-identity/token" env:"KILN_IDENTITY_TOKEN_FILE"`
	IdentityRoleARN        string `name:"identity-aws-role-arn" help:"Role of IAM to assume, for aws." env:"KILN_IDENTITY_AWS_ROLE_ARN"`
	IdentityTenantID       string `name:"identity-azure-tenant-id" help:"Tenant, for azure." env:"KILN_IDENTITY_AZURE_TENANT_ID"`
	IdentityClientID       string `name:"identity-azure-client-id" help:"Client of the managed identity or application, for azure." env:"KILN_IDENTITY_AZURE_CLIENT_ID"`
	IdentityProvider       string `name:"identity-gcp-provider" help:"Workload identity provider, for gcp, as projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER." env:"KILN_IDENTITY_GCP_PROVIDER"`
	IdentityServiceAccount string `name:"identity-gcp-service-account" help:"Service account of Google to impersonate, for gcp. Default: none, the token's subject itself." env:"KILN_IDENTITY_GCP_SERVICE_ACCOUNT"`

	Exchange      string `help:"Directory shared with the runner container." default:"/var/run/kiln" env:"KILN_EXCHANGE"`
	State         string `help:"Directory of the daemon's state." default:"/var/lib/kiln" env:"KILN_STATE"`
	Listen        string `help:"Address of /readyz." default:":9464" env:"KILN_LISTEN"`
	MetricsListen string `help:"Address of /metrics." default:":9465" env:"KILN_METRICS_LISTEN"`

	PodName   string `help:"Name of the runner pod." env:"KILN_POD_NAME"`
	Namespace string `help:"Namespace of the runner pod. Default: that of the service account." env:"KILN_NAMESPACE"`

	ActionTemplate string `name:"hook-template" help:"File with a pod template that is merged into the pods of actions and of whole jobs by the stock hook's rules: $job is the container of the action or the job, $NAME the service of that name." env:"ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE"`
	BuildTemplate  string `help:"File with a pod template that places and marks build pods." env:"KILN_BUILD_TEMPLATE"`
	Placement      string `help:"Where actions run: same-node, as a ReadWriteOnce work volume needs it, or anywhere." default:"same-node" env:"KILN_PLACEMENT"`

	JobRights string `help:"What options of a job container or a service may ask for: baseline, what Pod Security's level of that name lets through; or any, --privileged and --cap-add included." default:"baseline" env:"KILN_JOB_RIGHTS"`
	GPU       string `name:"gpu" help:"Resource that --gpus of a job container or a service stands for, and how many of it --gpus all is, as nvidia.com/gpu=1. Default: none." env:"KILN_GPU"`

	ContextMaxBytes   int64         `help:"Limit of a build context, in bytes." default:"536870912" env:"KILN_CONTEXT_MAX_BYTES"`
	ContextMaxEntries int           `help:"Limit of a build context, in files." default:"100000" env:"KILN_CONTEXT_MAX_ENTRIES"`
	Prebuild          int           `help:"Images that are built at once before a step asks for them, for the container actions that a job has downloaded; 0 is none." default:"1" env:"KILN_PREBUILD"`
	MaxInFlight       int           `help:"Steps that run at once; further ones wait." default:"10" env:"KILN_MAX_IN_FLIGHT"`
	LogBacklogBytes   int64         `help:"Bytes of a step's log that may wait to be printed before the pod's log is read no further." default:"67108864" env:"KILN_LOG_BACKLOG_BYTES"`
	PendingTimeout    time.Duration `help:"How long a pod may wait to start." default:"10m" env:"KILN_PENDING_TIMEOUT"`
	BuildTimeout      time.Duration `help:"How long a build may take." default:"30m" env:"KILN_BUILD_TIMEOUT"`
	ReuseMaxAge       time.Duration `help:"Age from which a built image is built again; 0 is never to use one again." default:"168h" env:"KILN_REUSE_MAX_AGE"`
	StepTimeout       time.Duration `help:"How long an action may run; 0 is for ever." default:"0s" env:"KILN_STEP_TIMEOUT"`
	BuildMemory       string        `help:"Memory limit of the Kaniko container." default:"2Gi" env:"KILN_BUILD_MEMORY"`
	BuildRights       string        `help:"What a RUN may do: docker, what Docker gives it within Pod Security baseline, setuid programs, chroot and device nodes included; or minimal, without those." default:"docker" env:"KILN_BUILD_RIGHTS"`
	BuildUserns       string        `help:"Whether build pods have user namespaces of their own: auto, where the cluster has them and the Dockerfile makes no device nodes; on; or off." default:"auto" env:"KILN_BUILD_USERNS"`
	BuildStorage      string        `help:"Ephemeral storage limit of the Kaniko container." default:"10Gi" env:"KILN_BUILD_STORAGE"`
}

// KanikoImage is the executor's image when the operator names none: a
// maintained fork without credential helpers, whose releases are listed at
// https://github.com/osscontainertools/kaniko/releases.
const KanikoImage = "ghcr.io/osscontainertools/kaniko:v1.28.3-slim"

// Values of Settings.Placement.
const (
	PlacementSameNode = "same-node"
	PlacementAnywhere = "anywhere"
)

// Values of Settings.Tag.
const (
	TagContent = "content"
	TagRandom  = "random"
)

// Values of Settings.Assemble.
const (
	AssembleOn  = "on"
	AssembleOff = "off"
)

// Values of Settings.BuildUserns.
const (
	UsernsAuto = "auto"
	UsernsOn   = "on"
	UsernsOff  = "off"
)

// Names returns how images are called, or an error that names the setting to
// mend.
func (s *Settings) Names() (registry.Names, error) {
	push, pull := s.RegistryPush, s.RegistryPull
	if push == "" {
		push = s.RegistryHost
	}
	if pull == "" {
		pull = s.RegistryHost
	}
	return registry.NewNames(push, pull, s.ImageName)
}

// PullCredentials is the file with the credentials that base images are read
// with, as gates read them: that of the pull Secret, which is the registry's
// unless another is named. It is empty for one that is not mounted.
func (s *Settings) PullCredentials() string {
	switch {
	case s.PullDocker != "":
		return s.PullDocker
	case s.PullSecret != "" && s.PullSecret != s.RegistrySecret:
		return ""
	}
	return s.DockerConfig
}

// Validate reports every setting that is missing or malformed, joined; each
// error names the variable and what to write.
func (s *Settings) Validate() error {
	var pod error
	if s.PodName == "" {
		pod = errors.New("KILN_POD_NAME is not set: set it from the downward API field metadata.name")
	}
	return errors.Join(pod, s.ValidateBuild())
}

// ValidateBuild is Validate for a build from a shell, which may have no pod.
func (s *Settings) ValidateBuild() error {
	var errs []error
	if _, err := s.Names(); err != nil {
		errs = append(errs, err)
	}
	for _, limit := range []struct {
		name string
		bad  bool
	}{
		{"KILN_CONTEXT_MAX_BYTES", s.ContextMaxBytes <= 0},
		{"KILN_CONTEXT_MAX_ENTRIES", s.ContextMaxEntries <= 0},
		{"KILN_MAX_IN_FLIGHT", s.MaxInFlight <= 0},
		{"KILN_LOG_BACKLOG_BYTES", s.LogBacklogBytes <= 0},
		{"KILN_PENDING_TIMEOUT", s.PendingTimeout <= 0},
		{"KILN_BUILD_TIMEOUT", s.BuildTimeout <= 0},
		{"KILN_STEP_TIMEOUT", s.StepTimeout < 0},
	} {
		if limit.bad {
			errs = append(errs, fmt.Errorf("%s must be more than zero", limit.name))
		}
	}
	if s.Prebuild < 0 {
		errs = append(errs, fmt.Errorf("KILN_PREBUILD is %d: write how many images are built at once ahead of steps, or 0 for none", s.Prebuild))
	}
	if s.ReuseMaxAge < 0 {
		errs = append(errs, fmt.Errorf("KILN_REUSE_MAX_AGE is %s: write a duration such as 168h, or 0 to build every time", s.ReuseMaxAge))
	}
	if s.Tag != TagContent && s.Tag != TagRandom {
		errs = append(errs, fmt.Errorf("KILN_TAG is %q: write %s or %s", s.Tag, TagContent, TagRandom))
	}
	if s.Assemble != AssembleOn && s.Assemble != AssembleOff {
		errs = append(errs, fmt.Errorf("KILN_ASSEMBLE is %q: write %s or %s", s.Assemble, AssembleOn, AssembleOff))
	}
	if _, err := registry.ParseMirrors(s.Mirrors); err != nil {
		errs = append(errs, err)
	}
	if _, err := registry.ParseInsecure(s.Insecure); err != nil {
		errs = append(errs, err)
	}
	if _, err := registry.ParsePlainLogins(s.PlainLogin); err != nil {
		errs = append(errs, err)
	}
	if _, err := registry.ParseAllow(s.PullAllow); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, validateAddress("KILN_LISTEN", s.Listen, ":9464"), validateAddress("KILN_METRICS_LISTEN", s.MetricsListen, ":9465"))
	if s.Placement != PlacementSameNode && s.Placement != PlacementAnywhere {
		errs = append(errs, fmt.Errorf("KILN_PLACEMENT is %q: write %s or %s", s.Placement, PlacementSameNode, PlacementAnywhere))
	}
	if _, err := podoptions.ParsePolicy(s.JobRights, s.GPU); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, s.CloudIdentity().Validate())
	errs = append(errs, s.validateBuilder()...)
	errs = append(errs, s.validateQuantities()...)
	return errors.Join(errs...)
}

// validateAddress reports a setting that is not an address to listen at.
func validateAddress(name, value, example string) error {
	if _, _, err := net.SplitHostPort(value); err != nil {
		return fmt.Errorf("%s is %q: write it as %s", name, value, example)
	}
	return nil
}

// Limits returns the limits of a build context.
func (s *Settings) Limits() buildcontext.Limits {
	limits := buildcontext.DefaultLimits()
	limits.Bytes = s.ContextMaxBytes
	limits.Entries = s.ContextMaxEntries
	return limits
}
