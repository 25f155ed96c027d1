package action

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"kiln/internal/failure"
	"kiln/internal/hook"
)

// maxEnvironmentBytes is what a Secret may hold (corev1.MaxSecretSize).
const maxEnvironmentBytes = corev1.MaxSecretSize

// What Linux gives a program at its start (execve(2), "Limits on size of
// arguments and environment"): MAX_ARG_STRLEN, 32 pages of 4 KiB with the NUL at
// the end, for each argument and variable. The runtime fails beyond with a text
// that names none.
const maxString = 32*4096 - 1

// maxArguments bounds the arguments of a step together, in bytes: a Job is kept in
// etcd, which takes 1.5 MiB, and its "$" are doubled.
const maxArguments = 512 << 10

// checkArguments refuses arguments that no program can be given.
func checkArguments(arguments []string) error {
	total := 0
	for i, argument := range arguments {
		if len(argument) > maxString {
			return failure.New(failure.BadRequest, "kiln: argument %d of the step has %d bytes, and Linux gives a program at most %d in one: pass large values through a file in the workspace", i+1, len(argument), maxString)
		}
		total += len(argument) + strings.Count(argument, "$")
	}
	if total > maxArguments {
		return failure.New(failure.BadRequest, "kiln: the arguments of the step have %d bytes together, more than %d: pass large values through a file in the workspace", total, maxArguments)
	}
	return nil
}

// Secret returns the Secret with the step's environment, under keys that say
// nothing, because a variable's name need not be a valid key. Variables that no
// container can have are left out and their names returned, sorted: those whose
// name Kubernetes refuses (it takes printable ASCII without "=", since 1.32) and
// those with a NUL in the value. The error says that a value, or all of them, are
// too large.
func Secret(s Step) (secret *corev1.Secret, skipped []string, err error) {
	values := hook.StepEnv(s.Container)
	names, skipped := variableNames(values)
	data := make(map[string][]byte, len(names))
	size := 0
	for i, name := range names {
		if length := len(name) + len("=") + len(values[name]); length > maxString {
			return nil, nil, failure.New(failure.BadRequest, "kiln: the environment variable %s has %d bytes with its name, and Linux gives a program at most %d in one: pass large values through a file in the workspace", oneWord(name), length, maxString)
		}
		data[key(i)] = []byte(values[name])
		size += len(values[name])
	}
	if size > maxEnvironmentBytes {
		return nil, nil, failure.New(failure.BadRequest, "kiln: the step's environment has %d bytes, more than the %d that Kubernetes keeps in a Secret: pass large values through a file in the workspace", size, maxEnvironmentBytes)
	}
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: s.meta(s.secretName()),
		Type:       corev1.SecretTypeOpaque,
		Immutable:  new(true),
		Data:       data,
	}, skipped, nil
}

// environment returns the container's variables, each taken from the Secret:
// values reach no Job, and the kubelet expands nothing in them.
func environment(s Step) []corev1.EnvVar {
	names, _ := variableNames(hook.StepEnv(s.Container))
	variables := make([]corev1.EnvVar, 0, len(names))
	for i, name := range names {
		variables = append(variables, corev1.EnvVar{
			Name: name,
			ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: s.secretName()},
				Key:                  key(i),
			}},
		})
	}
	return variables
}

// variableNames sorts the names and sets those aside that cannot be variables.
func variableNames(values map[string]string) (names, refused []string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(validation.IsRelaxedEnvVarName(name)) > 0 || strings.ContainsRune(values[name], 0) {
			refused = append(refused, name)
			continue
		}
		names = append(names, name)
	}
	return names, refused
}

// key is the Secret's key of the variable with the given index.
func key(index int) string { return fmt.Sprintf("E%04d", index) }
