package scaleset

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"kiln/internal/supervisor"
)

var (
	dnsLabel  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	dnsName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	imageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]*$`)
	hookPath  = regexp.MustCompile(`^/[^"'\\\s]+\.(js|sh)$`)
	proxyURL  = regexp.MustCompile(`^https?://[A-Za-z0-9.:\[\]-]+/?$`)
	audience  = regexp.MustCompile(`^[A-Za-z0-9.:/-]+$`)
	proxyless = regexp.MustCompile(`^[A-Za-z0-9.:*/-]+$`)
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
		{"pull secret", s.PullSecret, "kiln-pull", dnsName},
		{"proxy secret", s.Proxy.Secret, "kiln-proxy", dnsName},
		{"ConfigMap of certificate authorities", s.CAConfigMap, "registry-ca", dnsName},
		{"audience of the identity", s.IdentityAudience, "sts.amazonaws.com", audience},
		{"storage class", s.StorageClass, "standard", dnsName},
	} {
		if field.value != "" && !field.form.MatchString(field.value) {
			errs = append(errs, fmt.Errorf("the %s is %q: write it as %s", field.what, field.value, field.example))
		}
	}
	if s.Handle != HandleAll && s.Handle != HandleDockerfile && s.Handle != HandleJob {
		errs = append(errs, fmt.Errorf("handle is %q: write %s, %s or %s", s.Handle, HandleAll, HandleDockerfile, HandleJob))
	}
	for _, name := range s.ImagePullSecrets {
		if !dnsName.MatchString(name) {
			errs = append(errs, fmt.Errorf("an image pull secret is %q: write it as registry-login", name))
		}
	}
	errs = append(errs, validateProxy(s.Proxy), validateResources(s.Resources))
	errs = append(errs, validateQuantity("size of the work volume", s.WorkSize, DefaultWorkSize))
	if s.AccessMode != DefaultAccessMode && s.AccessMode != "ReadWriteMany" {
		errs = append(errs, fmt.Errorf("the access mode of the work volume is %q: write ReadWriteOnce or ReadWriteMany, since the pods of actions mount it too", s.AccessMode))
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

// validateProxy refuses a URL with a user above all: the overlay is read by many.
func validateProxy(p Proxy) error {
	var errs []error
	for _, proxy := range []struct{ what, value, key string }{
		{"HTTP proxy", p.HTTP, "HTTP_PROXY"}, {"HTTPS proxy", p.HTTPS, "HTTPS_PROXY"},
	} {
		switch {
		case proxy.value == "":
		case p.Secret != "":
			errs = append(errs, fmt.Errorf("both the %s and the proxy secret are set: leave the first out, and write its URL into the key %s of the Secret %s", proxy.what, proxy.key, p.Secret))
		case strings.Contains(proxy.value, "@"):
			errs = append(errs, fmt.Errorf("the URL of the %s has a user: write it into the key %s of a Secret, and name that as the proxy secret", proxy.what, proxy.key))
		case !proxyURL.MatchString(proxy.value):
			errs = append(errs, fmt.Errorf("the %s is %q: write it as http://proxy.example.com:3128", proxy.what, proxy.value))
		}
	}
	for _, host := range p.No {
		if !proxyless.MatchString(host) {
			errs = append(errs, fmt.Errorf("a host without proxy is %q: write a name, a domain or a range, such as .example.com or 10.0.0.0/8", host))
		}
	}
	return errors.Join(errs...)
}

func validateResources(r Resources) error {
	limit := r.MemoryLimit
	if limit == NoLimit {
		limit = ""
	}
	var errs []error
	for _, field := range []struct{ what, value, example string }{
		{"CPU request", r.CPURequest, DefaultCPURequest},
		{"CPU limit", r.CPULimit, "500m"},
		{"memory request", r.MemoryRequest, DefaultMemoryRequest},
		{"memory limit", limit, DefaultMemoryLimit},
	} {
		if field.value != "" {
			errs = append(errs, validateQuantity(field.what, field.value, field.example))
		}
	}
	if size, err := resource.ParseQuantity(limit); err == nil && size.Sign() > 0 {
		if _, err := supervisor.LimitsOf(uint64(size.Value())); err != nil { //nolint:gosec // it is positive
			errs = append(errs, fmt.Errorf("%w, or %s", err, NoLimit))
		}
	}
	return errors.Join(errs...)
}

func validateQuantity(what, value, example string) error {
	if size, err := resource.ParseQuantity(value); err != nil || size.Sign() <= 0 {
		return fmt.Errorf("the %s is %q: write a Kubernetes quantity such as %s", what, value, example)
	}
	return nil
}
