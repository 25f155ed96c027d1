package job

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/hook"
	"kiln/internal/workpod"
)

// Secret returns the Secret of the job's pod: the environments of its containers and
// the door's secret. The names of variables that no container can have are returned,
// sorted. The error says that a value, or all of them, are too large.
func Secret(s Spec) (secret *corev1.Secret, skipped []string, err error) {
	environment := environment(s)
	data, err := environment.Data()
	if err != nil {
		return nil, nil, err
	}
	maps.Copy(data, s.Services.Data)
	if err := workpod.CheckSecret(data, "job"); err != nil {
		return nil, nil, err
	}
	data[keyDoor] = s.Door
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: s.meta(s.Name),
		Type:       corev1.SecretTypeOpaque,
		Immutable:  new(true),
		Data:       data,
	}, environment.Skipped(), nil
}

// login is an entry of Docker's configuration file.
type login struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Auth     string `json:"auth"`
}

// hub is what the credentials of Docker Hub are found by, whatever an image calls it.
const hub = "https://index.docker.io/v1/"

// PullSecret returns the Secret called name with which nodes pull the images of the
// containers, as far as their logins go; nil where none has one. But for Docker Hub a
// login is for the repository of its image alone, so that the credentials of one
// container serve no other (Kubernetes docs, "Interpretation of config.json"). Of two
// containers with one repository the first has its way.
func PullSecret(s Spec, name string, containers []hook.JobContainer) (*corev1.Secret, error) {
	logins := map[string]login{}
	for _, c := range containers {
		if c.Registry == nil {
			continue
		}
		key := repository(c.Container.Image)
		if _, taken := logins[key]; taken {
			continue
		}
		who := c.Registry.Username + ":" + c.Registry.Password
		logins[key] = login{c.Registry.Username, c.Registry.Password, base64.StdEncoding.EncodeToString([]byte(who))}
	}
	if len(logins) == 0 {
		return nil, nil
	}
	config, err := json.Marshal(map[string]any{"auths": logins})
	if err != nil {
		return nil, fmt.Errorf("write the job's pull Secret: %w", err)
	}
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: s.meta(name),
		Type:       corev1.SecretTypeDockerConfigJson,
		Immutable:  new(true),
		Data:       map[string][]byte{corev1.DockerConfigJsonKey: config},
	}, nil
}

// repository is what the kubelet finds the login of an image by. Of an image whose
// name cannot be read the node says what is wrong.
func repository(image string) string {
	parsed, err := name.ParseReference(image)
	if err != nil || parsed.Context().RegistryStr() == name.DefaultRegistry {
		return hub
	}
	return parsed.Context().Name()
}
