package scaleset

import (
	_ "embed" // the template
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"text/template"
)

// Modes of a runner scale set.
const (
	// Sealed is a scale set without a container mode: only the kiln container has a
	// token, and jobs run in the runner container.
	Sealed = "sealed"
	// Kubernetes is containerMode kubernetes: the stock hook runs jobs in pods, and the
	// runner container has a token for it.
	Kubernetes = "kubernetes"
)

// Settings are what an installation can choose of an overlay. The zero value of each
// field is what its comment says; Image alone is required.
type Settings struct {
	// Mode is Sealed (the default) or Kubernetes.
	Mode string
	// Image is kiln's image with registry and tag or digest.
	Image string
	// ImagePullSecrets name Secrets in the runner's namespace with which the nodes pull
	// kiln's image. The pods of builds and of actions inherit them.
	ImagePullSecrets []string
	// RunnerImage is the image of the runner container; DefaultRunnerImage when empty.
	RunnerImage string
	// Delegate is the path of the stock hook in the runner's image, for mode
	// Kubernetes; DefaultDelegate when empty.
	Delegate string
	// Handle says what kiln serves in mode Kubernetes: HandleAll container steps, the
	// default; HandleDockerfile, which leaves ready images to the delegate; or HandleJob,
	// whole jobs.
	Handle string
	// RegistrySecret names the Secret of the registry's credentials in the runner's
	// namespace; empty when the registry wants none.
	RegistrySecret string
	// PullSecret names another Secret of credentials for pulls of base images; empty
	// where RegistrySecret is for those too.
	PullSecret string
	// CAConfigMap names a ConfigMap in the runner's namespace whose key ca.crt has
	// further certificate authorities for registries; empty when there are none.
	CAConfigMap string
	// IdentityAudience is what the token of KILN_IDENTITY is for; empty without one.
	IdentityAudience string
	// Proxy is the way out of the cluster; the zero value is none.
	Proxy Proxy
	// Resources are those of kiln's containers.
	Resources Resources
	// AccessMode is that of the work volume: ReadWriteOnce when empty, or
	// ReadWriteMany, which KILN_PLACEMENT anywhere needs.
	AccessMode string
	// StorageClass is the class of the work volume; empty is the cluster's default.
	StorageClass string
	// WorkSize is the size of the work volume; DefaultWorkSize when empty.
	WorkSize string
}

// Proxy is how the kiln container, and from there the gates and the RUN steps of builds,
// reach other hosts.
type Proxy struct {
	// HTTP and HTTPS are the URLs of proxies without a user, such as
	// http://proxy.example.com:3128; empty is none.
	HTTP, HTTPS string
	// Secret names a Secret in the runner's namespace whose keys HTTP_PROXY and
	// HTTPS_PROXY have such URLs, with user and password; it stands in the place of HTTP
	// and HTTPS.
	Secret string
	// No lists hosts, domains and ranges that are reached without a proxy, besides those
	// of the cluster that every overlay with a proxy has.
	No []string
}

// Resources are the requests and limits of kiln's containers, as Kubernetes quantities.
type Resources struct {
	// CPURequest and MemoryRequest are DefaultCPURequest and DefaultMemoryRequest when
	// empty.
	CPURequest, MemoryRequest string
	// CPULimit is none when empty.
	CPULimit string
	// MemoryLimit is DefaultMemoryLimit when empty, and none when it is NoLimit. kilnd
	// keeps its worker below it.
	MemoryLimit string
}

// Values of [Settings].Handle.
const (
	HandleAll        = "all"
	HandleDockerfile = "dockerfile"
	HandleJob        = "job"
)

// NoLimit is the [Resources].MemoryLimit of a container without one.
const NoLimit = "none"

// Defaults of [Settings], and of the chart.
const (
	DefaultRunnerImage = "ghcr.io/actions/actions-runner:latest"
	// DefaultDelegate is where the runner's own image has the hook for containerMode
	// kubernetes (actions/runner, images/Dockerfile).
	DefaultDelegate   = "/home/runner/k8s/index.js"
	DefaultWorkSize   = "10Gi"
	DefaultAccessMode = "ReadWriteOnce"

	DefaultCPURequest    = "10m"
	DefaultMemoryRequest = "40Mi"
	DefaultMemoryLimit   = "512Mi"
)

// text is the template of the overlays.
//
//go:embed scaleset.tpl
var text string

// Text returns the template of the overlays, for the chart's copy of it.
func Text() string { return text }

// Values returns values of the chart gha-runner-scale-set, as YAML.
func Values(s Settings) (string, error) {
	return render("kiln.overlay.values", s, nil)
}

// Apply returns the AutoscalingRunnerSet of a scale set with kiln's fields alone, as
// YAML for kubectl apply --server-side. The resource definitions of Actions Runner
// Controller from 0.11 on merge lists of containers, volumes and variables by name.
func Apply(s Settings, scaleSet, namespace string) (string, error) {
	for _, name := range []struct{ what, value string }{{"scale set", scaleSet}, {"namespace", namespace}} {
		if !dnsLabel.MatchString(name.value) {
			return "", fmt.Errorf("the %s is %q: write the name as Kubernetes has it, such as my-set", name.what, name.value)
		}
	}
	return render("kiln.overlay.apply", s, map[string]any{"scaleSet": scaleSet, "namespace": namespace})
}

// render executes one of the template's definitions.
func render(name string, s Settings, more map[string]any) (string, error) {
	s = withDefaults(s)
	if err := validate(s); err != nil {
		return "", err
	}
	context := contextOf(s)
	maps.Copy(context, more)
	parsed, err := parse()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	if err := parsed.ExecuteTemplate(&out, name, context); err != nil {
		return "", fmt.Errorf("write overlay: %w", err)
	}
	return out.String(), nil
}

// contextOf returns the dictionary that the template is executed with.
func contextOf(s Settings) map[string]any {
	memoryLimit := s.Resources.MemoryLimit
	if memoryLimit == NoLimit {
		memoryLimit = ""
	}
	return map[string]any{
		"mode": s.Mode, "image": s.Image, "imagePullSecrets": s.ImagePullSecrets,
		"runnerImage": s.RunnerImage, "delegate": s.Delegate, "handle": s.Handle,
		"secretName": s.RegistrySecret, "pullSecretName": s.PullSecret, "caConfigMap": s.CAConfigMap,
		"identityAudience": s.IdentityAudience,
		"httpProxy":        s.Proxy.HTTP, "httpsProxy": s.Proxy.HTTPS, "proxySecretName": s.Proxy.Secret, "noProxy": s.Proxy.No,
		"cpuRequest": s.Resources.CPURequest, "cpuLimit": s.Resources.CPULimit,
		"memoryRequest": s.Resources.MemoryRequest, "memoryLimit": memoryLimit,
		"accessMode": s.AccessMode, "storageClass": s.StorageClass, "workSize": s.WorkSize,
		"scaleSet": "", "namespace": "",
	}
}

// parse gives the template those of Helm's functions that it uses.
func parse() (*template.Template, error) {
	root := template.New("overlay").Option("missingkey=error")
	root.Funcs(template.FuncMap{
		"include": func(name string, context any) (string, error) {
			var out strings.Builder
			err := root.ExecuteTemplate(&out, name, context)
			return out.String(), err
		},
		"nindent": func(spaces int, text string) string {
			indent := "\n" + strings.Repeat(" ", spaces)
			return indent + strings.ReplaceAll(text, "\n", indent)
		},
		"dict": func(pairs ...string) map[string]string {
			made := map[string]string{}
			for i := 0; i+1 < len(pairs); i += 2 {
				made[pairs[i]] = pairs[i+1]
			}
			return made
		},
		// A JSON string is a YAML string.
		"quote": func(text string) (string, error) {
			quoted, err := json.Marshal(text)
			return string(quoted), err
		},
	})
	parsed, err := root.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse the template of the overlays: %w", err)
	}
	return parsed, nil
}

func withDefaults(s Settings) Settings {
	for _, field := range []struct {
		value  *string
		normal string
	}{
		{&s.Mode, Sealed},
		{&s.RunnerImage, DefaultRunnerImage},
		{&s.Delegate, DefaultDelegate},
		{&s.Handle, HandleAll},
		{&s.WorkSize, DefaultWorkSize},
		{&s.AccessMode, DefaultAccessMode},
		{&s.Resources.CPURequest, DefaultCPURequest},
		{&s.Resources.MemoryRequest, DefaultMemoryRequest},
		{&s.Resources.MemoryLimit, DefaultMemoryLimit},
	} {
		if *field.value == "" {
			*field.value = field.normal
		}
	}
	return s
}
