package overlay

import (
	_ "embed" // the template
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"text/template"

	"k8s.io/apimachinery/pkg/api/resource"
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
	// RunnerImage is the image of the runner container; DefaultRunnerImage when empty.
	RunnerImage string
	// Delegate is the path of the stock hook in the runner's image, for mode
	// Kubernetes; DefaultDelegate when empty.
	Delegate string
	// RegistrySecret names the Secret of the registry's credentials in the runner's
	// namespace; empty when the registry wants none.
	RegistrySecret string
	// CAConfigMap names a ConfigMap in the runner's namespace whose key ca.crt has
	// further certificate authorities for registries; empty when there are none.
	CAConfigMap string
	// StorageClass is the class of the work volume; empty is the cluster's default.
	StorageClass string
	// WorkSize is the size of the work volume; DefaultWorkSize when empty.
	WorkSize string
}

// Defaults of [Settings], and of the chart.
const (
	DefaultRunnerImage = "ghcr.io/actions/actions-runner:latest"
	// DefaultDelegate is where the runner's own image has the hook for containerMode
	// kubernetes (actions/runner, images/Dockerfile).
	DefaultDelegate = "/home/runner/k8s/index.js"
	DefaultWorkSize = "10Gi"
)

// text is the template of the overlays.
//
//go:embed overlay.tpl
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
	context := map[string]any{
		"mode": s.Mode, "image": s.Image, "runnerImage": s.RunnerImage, "delegate": s.Delegate,
		"secretName": s.RegistrySecret, "caConfigMap": s.CAConfigMap, "storageClass": s.StorageClass, "workSize": s.WorkSize,
		"scaleSet": "", "namespace": "",
	}
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
		{&s.WorkSize, DefaultWorkSize},
	} {
		if *field.value == "" {
			*field.value = field.normal
		}
	}
	return s
}

var (
	dnsLabel  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	dnsName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	imageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]*$`)
	hookPath  = regexp.MustCompile(`^/[^"'\\\s]+\.(js|sh)$`)
)

// validate reports every setting that is missing or malformed, joined.
func validate(s Settings) error {
	errs := []error{validateMode(s.Mode)}
	if s.Image == "" {
		errs = append(errs, errors.New("the image is not set: none of kiln is published, so build one with `make image` and push it to your registry"))
	}
	for _, field := range []struct {
		what, value, example string
		form                 *regexp.Regexp
	}{
		{"image", s.Image, "registry.example.com/kiln:v1", imageName},
		{"runner image", s.RunnerImage, DefaultRunnerImage, imageName},
		{"delegate", s.Delegate, DefaultDelegate, hookPath},
		{"registry secret", s.RegistrySecret, "kiln-registry", dnsName},
		{"ConfigMap of certificate authorities", s.CAConfigMap, "registry-ca", dnsName},
		{"storage class", s.StorageClass, "standard", dnsName},
	} {
		if field.value != "" && !field.form.MatchString(field.value) {
			errs = append(errs, fmt.Errorf("the %s is %q: write it as %s", field.what, field.value, field.example))
		}
	}
	if size, err := resource.ParseQuantity(s.WorkSize); err != nil || size.Sign() <= 0 {
		errs = append(errs, fmt.Errorf("the size of the work volume is %q: write a Kubernetes quantity such as %s", s.WorkSize, DefaultWorkSize))
	}
	return errors.Join(errs...)
}

// validateMode tells an unsupported mode from a mistyped one.
func validateMode(mode string) error {
	switch mode {
	case Sealed, Kubernetes:
		return nil
	case "kubernetes-novolume":
		return errors.New("kiln does not support the mode kubernetes-novolume: there the work folder is no volume that the pod of an action could mount; use sealed or kubernetes")
	default:
		return fmt.Errorf("the mode is %q: write %s or %s", mode, Sealed, Kubernetes)
	}
}
