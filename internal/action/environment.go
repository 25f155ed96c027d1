package action

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/workpod"
)

// maxArguments bounds the arguments of a step together, in bytes: a Job is kept in
// etcd, which takes 1.5 MiB, and its "$" are doubled.
const maxArguments = 512 << 10

// checkArguments refuses arguments that no program can be given.
func checkArguments(arguments []string) error {
	total := 0
	for i, argument := range arguments {
		if len(argument) > workpod.MaxString {
			return failure.New(failure.BadRequest, "kiln: argument %d of the step has %d bytes, and Linux gives a program at most %d in one: pass large values through a file in the workspace", i+1, len(argument), workpod.MaxString)
		}
		total += len(argument) + strings.Count(argument, "$")
	}
	if total > maxArguments {
		return failure.New(failure.BadRequest, "kiln: the arguments of the step have %d bytes together, more than %d: pass large values through a file in the workspace", total, maxArguments)
	}
	return nil
}

// Secret returns the Secret with the step's environment. Variables that no container
// can have are left out and their names returned, see
// [workpod.Environment.Skipped]. The error says that a value, or all of them, are
// too large.
func Secret(s Step) (secret *corev1.Secret, skipped []string, err error) {
	environment := environment(s)
	data, err := environment.Data()
	if err != nil {
		return nil, nil, err
	}
	if err := workpod.CheckSecret(data, "step"); err != nil {
		return nil, nil, err
	}
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: s.meta(s.secretName()),
		Type:       corev1.SecretTypeOpaque,
		Immutable:  new(true),
		Data:       data,
	}, environment.Skipped(), nil
}

// environment is that of the step's container.
func environment(s Step) workpod.Environment {
	return workpod.NewEnvironment(hook.StepEnv(s.Container), "")
}
