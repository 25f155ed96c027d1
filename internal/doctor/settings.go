package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/config"
	"kiln/internal/extension"
	"kiln/internal/install"
	"kiln/internal/kaniko"
	"kiln/internal/registry"
	"kiln/internal/request"
)

// settingsMap is the ConfigMap that the chart and manifests/ write the settings
// to.
const settingsMap = "kiln"

// readSettings reads the settings of the kiln container as the daemon does, and
// reports what is wrong with them.
func (e *examination) readSettings(ctx context.Context) []Finding {
	env, args, findings := e.environment(ctx)
	e.env = env
	settings, errs := config.Parse(env, args)
	e.settings = settings
	errs = append(errs, config.Unknown(env)...)
	errs = append(errs, split(settings.Validate())...)
	errs = append(errs, e.readOperator(ctx)...)
	for _, err := range errs {
		if text := err.Error(); !kanikos(text) {
			findings = append(findings, settingFinding(text))
		}
	}
	return orOK(findings, fmt.Sprintf("registry %s, placement %s", settingsRegistry(settings), settings.Placement))
}

// kanikos tells the errors that the check kaniko reports.
func kanikos(text string) bool {
	return strings.HasPrefix(text, "KILN_KANIKO_IMAGE:") || strings.HasPrefix(text, "KILN_KANIKO_FLAVOR:")
}

func settingsRegistry(s *config.Settings) string {
	if s.RegistryHost != "" {
		return s.RegistryHost
	}
	return s.RegistryPush
}

// split takes joined errors apart.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

// settingFinding divides an error of a setting into what it is and what to
// write.
func settingFinding(text string) Finding {
	f := Finding{Status: Fail, Seen: text, Mend: "correct it"}
	for _, begin := range []string{": write ", ": set ", ": use ", ": mount "} {
		if seen, mend, found := strings.Cut(text, begin); found {
			f.Seen, f.Mend = seen, strings.TrimPrefix(begin, ": ")+mend
			break
		}
	}
	f.Mend += " (the ConfigMap " + settingsMap + ", or the values of the chart)"
	return f
}

// environment returns the variables and the further arguments of the kiln
// container.
func (e *examination) environment(ctx context.Context) (env map[string]string, args []string, findings []Finding) {
	if len(e.pods) > 0 {
		if kiln, _ := container(&e.pods[0], containerKiln); len(kiln.Args) > 1 {
			_, args = install.Destination(kiln.Args[1:])
		}
	}
	switch {
	case e.inSidecar():
		return e.Env, args, nil
	case len(e.pods) == 0:
		env, findings = e.configMap(ctx, settingsMap)
		env = maps.Clone(env)
		if env == nil {
			env = map[string]string{}
		}
		env["KILN_POD_NAME"] = "runner" // the overlay sets it
		return env, args, findings
	}
	env, findings = e.containerEnv(ctx, &e.pods[0])
	return env, args, findings
}

// containerEnv returns the environment of the kiln container of a pod, as far as
// it comes from literals, ConfigMaps and the pod's own name and namespace.
func (e *examination) containerEnv(ctx context.Context, pod *corev1.Pod) (map[string]string, []Finding) {
	kiln, _ := container(pod, containerKiln)
	env := map[string]string{}
	var findings []Finding
	for _, from := range kiln.EnvFrom {
		if from.ConfigMapRef == nil {
			continue
		}
		data, trouble := e.configMap(ctx, from.ConfigMapRef.Name)
		if optional := from.ConfigMapRef.Optional; optional == nil || !*optional {
			findings = append(findings, trouble...)
		}
		for key, value := range data {
			env[from.Prefix+key] = value
		}
	}
	for _, variable := range kiln.Env {
		if value, known := literal(pod, variable); known {
			env[variable.Name] = value
		}
	}
	return env, findings
}

// literal is the value of a variable that the specification tells.
func literal(pod *corev1.Pod, variable corev1.EnvVar) (string, bool) {
	switch from := variable.ValueFrom; {
	case from == nil:
		return variable.Value, true
	case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.name":
		return pod.Name, true
	case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.namespace":
		return pod.Namespace, true
	}
	return "", false
}

// configMap reads a ConfigMap.
func (e *examination) configMap(ctx context.Context, name string) (map[string]string, []Finding) {
	found, err := e.client.Kube.ConfigMaps(e.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fail(fmt.Sprintf("there is no ConfigMap %s in namespace %s", name, e.Namespace), "install the chart there, or apply manifests/ (docs/install.md)")
	case err != nil:
		return nil, fail(fmt.Sprintf("the ConfigMap %s cannot be read: %s", name, err), "use a kubeconfig whose user may read it")
	}
	return found.Data, nil
}

// errElsewhere is a file of the kiln container that cannot be read from here.
var errElsewhere = errors.New("the file is in the kiln container")

// file reads a file of the kiln container; from outside, the key of the
// ConfigMap that the container has mounted there.
func (e *examination) file(ctx context.Context, name string) ([]byte, error) {
	if e.inSidecar() {
		return e.readFile(name)
	}
	if len(e.pods) == 0 {
		return nil, errElsewhere
	}
	kiln, _ := container(&e.pods[0], containerKiln)
	mount, _ := mounted(kiln, name)
	source := volume(&e.pods[0], mount.Name).ConfigMap
	if source == nil || len(source.Items) > 0 {
		return nil, errElsewhere
	}
	found, err := e.client.Kube.ConfigMaps(e.Namespace).Get(ctx, source.Name, metav1.GetOptions{})
	if apierrors.IsForbidden(err) {
		return nil, errElsewhere
	}
	data, there := "", false
	if err == nil {
		data, there = found.Data[path.Base(name)]
	}
	if !there {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(data), nil
}

// readOperator reads what makes the objects of steps, and reports what of the
// settings it cannot use beside what [config.Settings.Validate] says.
func (e *examination) readOperator(ctx context.Context) []error {
	o := request.Operator{
		Settings: e.settings,
		Proxy:    kaniko.ProxyFromEnvironment(func(name string) string { return e.env[name] }),
	}
	var errs [4]error
	o.Names, errs[0] = e.settings.Names()
	o.Mirrors, errs[1] = registry.ParseMirrors(e.settings.Mirrors)
	o.Insecure, errs[2] = registry.ParseInsecure(e.settings.Insecure)
	o.PlainLogin, errs[3] = registry.ParsePlainLogins(e.settings.PlainLogin)
	o.Flavor, _ = e.settings.Flavor() // the check kaniko tells what is wrong with it
	if !slices.ContainsFunc(errs[:], func(err error) bool { return err != nil }) {
		e.operator = &o
	}
	var templates [2]error
	o.ActionTemplate, templates[0] = template(ctx, e, "ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE", e.settings.ActionTemplate, extension.Parse)
	o.BuildTemplate, templates[1] = template(ctx, e, "KILN_BUILD_TEMPLATE", e.settings.BuildTemplate, kaniko.ParseTemplate)
	return slices.DeleteFunc(templates[:], func(err error) bool { return err == nil })
}

// template reads the pod template that a setting names.
func template[T any](ctx context.Context, e *examination, setting, name string, parse func([]byte) (*T, error)) (*T, error) {
	if name == "" {
		return nil, nil
	}
	data, err := e.file(ctx, name)
	switch {
	case errors.Is(err, errElsewhere):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w: mount the file in the kiln container", setting, err)
	}
	parsed, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", setting, name, err)
	}
	return parsed, nil
}
