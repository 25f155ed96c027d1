package workpod

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"kiln/internal/failure"
)

// MaxString is what Linux gives a program at most in one argument or variable, in
// bytes (execve(2), "Limits on size of arguments and environment"): MAX_ARG_STRLEN,
// 32 pages of 4 KiB with the NUL at the end. The runtime fails beyond with a text
// that names none.
const MaxString = 32*4096 - 1

// Environment is that of one container.
type Environment struct {
	values         map[string]string
	names, skipped []string
	prefix         string
}

// NewEnvironment returns an environment. Its keys in a Secret begin with prefix,
// which tells it from others there; they say nothing else, because a variable's name
// need not be a valid key.
func NewEnvironment(values map[string]string, prefix string) Environment {
	e := Environment{values: values, prefix: prefix}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(validation.IsRelaxedEnvVarName(name)) > 0 || strings.ContainsRune(values[name], 0) {
			e.skipped = append(e.skipped, name)
			continue
		}
		e.names = append(e.names, name)
	}
	return e
}

// Skipped are the names of those variables that no container can have, sorted: those
// whose name Kubernetes refuses (it takes printable ASCII without "=", since 1.32)
// and those with a NUL in the value.
func (e Environment) Skipped() []string { return e.skipped }

// Data is what a Secret holds of the environment. The error says that a value is too
// large for a program.
func (e Environment) Data() (map[string][]byte, error) {
	data := make(map[string][]byte, len(e.names))
	for i, name := range e.names {
		if length := len(name) + len("=") + len(e.values[name]); length > MaxString {
			return nil, failure.New(failure.BadRequest, "kiln: the environment variable %s has %d bytes with its name, and Linux gives a program at most %d in one: pass large values through a file in the workspace", oneWord(name), length, MaxString)
		}
		data[e.key(i)] = []byte(e.values[name])
	}
	return data, nil
}

// Variables are the container's, each taken from the Secret of that name: values
// reach no pod, and the kubelet expands nothing in them.
func (e Environment) Variables(secret string) []corev1.EnvVar {
	variables := make([]corev1.EnvVar, 0, len(e.names))
	for i, name := range e.names {
		variables = append(variables, corev1.EnvVar{
			Name: name,
			ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: secret},
				Key:                  e.key(i),
			}},
		})
	}
	return variables
}

// key is the Secret's key of the variable with the given index.
func (e Environment) key(index int) string { return fmt.Sprintf("%sE%04d", e.prefix, index) }

// CheckSecret refuses data that no Secret can hold; whose says what has it: "step".
func CheckSecret(data map[string][]byte, whose string) error {
	size := 0
	for _, value := range data {
		size += len(value)
	}
	if size > corev1.MaxSecretSize {
		return failure.New(failure.BadRequest, "kiln: the %s's environment has %d bytes, more than the %d that Kubernetes keeps in a Secret: pass large values through a file in the workspace", whose, size, corev1.MaxSecretSize)
	}
	return nil
}

// oneWord makes a name fit for a log.
func oneWord(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
