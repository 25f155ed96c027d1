package kaniko

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Proxy is how other hosts are reached: the values of HTTP_PROXY, HTTPS_PROXY
// and NO_PROXY, in the form of golang.org/x/net/http/httpproxy. Empty ones are
// not set. It reaches the gate whole, and the executor and the Dockerfile's
// commands without credentials.
type Proxy struct {
	HTTP, HTTPS, No string
}

// ProxyFromEnvironment reads a proxy with getenv, which is os.Getenv or alike.
// A name in capital letters wins over the same in small letters.
func ProxyFromEnvironment(getenv func(string) string) Proxy {
	get := func(name string) string { return cmp.Or(getenv(name), getenv(strings.ToLower(name))) }
	return Proxy{HTTP: get("HTTP_PROXY"), HTTPS: get("HTTPS_PROXY"), No: get("NO_PROXY")}
}

// Validate reports values that are no URL of a proxy, with or without a scheme: a
// program that reads one would go without proxy in silence
// (golang.org/x/net/http/httpproxy, Config.ProxyFunc). Its errors name the
// variable and not its value, which may hold a password.
func (p Proxy) Validate() error {
	var errs []error
	for _, proxy := range []struct{ name, value string }{{"HTTP_PROXY", p.HTTP}, {"HTTPS_PROXY", p.HTTPS}} {
		if proxy.value == "" {
			continue
		}
		if !strings.Contains(proxy.value, "://") {
			proxy.value = "http://" + proxy.value
		}
		if parsed, err := url.Parse(proxy.value); err != nil || parsed.Hostname() == "" {
			errs = append(errs, fmt.Errorf("%s is no URL: write it as http://proxy.example.com:3128, with special characters of a password as in URLs, such as %%25 for %%", proxy.name))
		}
	}
	return errors.Join(errs...)
}

// withoutCredentials leaves out proxies with a user or a password, which a RUN
// could read.
func (p Proxy) withoutCredentials() Proxy {
	if strings.Contains(p.HTTP, "@") {
		p.HTTP = ""
	}
	if strings.Contains(p.HTTPS, "@") {
		p.HTTPS = ""
	}
	return p
}

// environment returns the variables of a container. Go programs never use a
// proxy for the loopback address, where the gate is
// (https://pkg.go.dev/net/http#ProxyFromEnvironment).
func (p Proxy) environment() []corev1.EnvVar {
	var env []corev1.EnvVar
	for _, variable := range []corev1.EnvVar{
		{Name: "HTTP_PROXY", Value: p.HTTP},
		{Name: "HTTPS_PROXY", Value: p.HTTPS},
		{Name: "NO_PROXY", Value: p.No},
	} {
		if variable.Value != "" {
			env = append(env, variable)
		}
	}
	return env
}

// buildArgs hands the proxy to the Dockerfile's commands, by the arguments that
// Docker predefines
// (https://docs.docker.com/reference/dockerfile/#predefined-args): they need no
// ARG, and are in neither the image nor its history. Programs differ in which
// case they read.
func (p Proxy) buildArgs() []string {
	var args []string
	for _, variable := range p.environment() {
		args = append(args,
			"--build-arg="+variable.Name+"="+variable.Value,
			"--build-arg="+strings.ToLower(variable.Name)+"="+variable.Value,
		)
	}
	return args
}
