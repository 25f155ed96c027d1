package service

import (
	"maps"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/podoptions"
	"kiln/internal/workpod"
)

// Environment is that of a service's container: of options, over it what the
// workflow says, as on Docker's command line. Its keys in a Secret begin with
// prefix.
//
// A variable that the workflow has without a value is not set with Docker, whatever
// the image says of it. A pod cannot take one out of an image, so that it is empty
// there; where the image does not set it, or cannot be read, it is left alone.
func (s Service) Environment(prefix string) workpod.Environment {
	values := map[string]string{}
	maps.Copy(values, s.Options.Env)
	for name := range s.Container.EnvironmentVariables {
		delete(values, name)
	}
	if s.Image != nil {
		for _, name := range s.Image.Variables {
			if value, asked := s.Container.EnvironmentVariables[name]; asked && value == "" {
				values[name] = ""
			}
		}
	}
	maps.Copy(values, hook.JobEnv(s.Container))
	return workpod.NewEnvironment(values, prefix)
}

// hidden are the variables by which some programs believe that they are to look
// for others of their kind in the cluster. A kubelet sets them in every container,
// and lets the container's own win.
func hidden() []string {
	return []string{
		"KUBERNETES_PORT", "KUBERNETES_PORT_443_TCP", "KUBERNETES_PORT_443_TCP_ADDR", "KUBERNETES_PORT_443_TCP_PORT",
		"KUBERNETES_PORT_443_TCP_PROTO", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBERNETES_SERVICE_PORT_HTTPS",
	}
}

// Of returns the container of a service, with the variables of env from the Secret
// of that name, and what it wants of its pod. Errors are the author's.
func (s Service) Of(place podoptions.Place, env workpod.Environment, secret string) (corev1.Container, podoptions.Spec, error) {
	spec, err := podoptions.Of(s.Options, s.Container.UserMountVolumes, place)
	if err != nil {
		return corev1.Container{}, podoptions.Spec{}, err
	}
	c := corev1.Container{Name: place.Name, Image: s.Container.Image, WorkingDir: s.Options.WorkDir}
	if err := s.command(&c); err != nil {
		return corev1.Container{}, podoptions.Spec{}, err
	}
	c.Env = variables(env, secret)
	spec.Apply(&c)
	if check := s.Check(); check != nil {
		c.ReadinessProbe = check.probe()
	}
	return c, spec, nil
}

// variables puts those of env over what the kubelet would set.
func variables(env workpod.Environment, secret string) []corev1.EnvVar {
	list := env.Variables(secret)
	own := map[string]bool{}
	for _, v := range list {
		own[v.Name] = true
	}
	for _, name := range hidden() {
		if !own[name] {
			list = append(list, corev1.EnvVar{Name: name})
		}
	}
	return list
}

// command sets what is run: the workflow's entrypoint, that of options, or the
// image's. With an entrypoint of its own a container has nothing of the image's CMD,
// with Docker as in a pod.
func (s Service) command(c *corev1.Container) error {
	for _, word := range hook.SplitArgs(s.Container.EntryPointArgs) {
		c.Args = append(c.Args, workpod.Literal(word))
	}
	switch {
	case s.Container.EntryPoint != "":
		c.Command = []string{workpod.Literal(s.Container.EntryPoint)}
	case s.Options.Entrypoint == nil:
	case *s.Options.Entrypoint != "":
		c.Command = []string{workpod.Literal(*s.Options.Entrypoint)}
	case len(c.Args) == 0:
		return failure.New(failure.BadRequest, `options: --entrypoint "" leaves nothing to run; add a command`)
	default:
		c.Command, c.Args = c.Args, nil
	}
	return nil
}
