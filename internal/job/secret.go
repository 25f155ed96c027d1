package job

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

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

// PullSecrets returns the Secrets with which nodes pull the images of the containers,
// as far as their logins go. But for Docker Hub a login is for the repository of its
// image, and so for those whose names begin with its name: the kubelet compares prefixes
// (Kubernetes 1.34, pkg/credentialprovider/keyring.go). A Secret has one login for a repository, and
// so has one for each more: a node tries the logins of all Secrets of a pod.
func PullSecrets(s Spec, containers []hook.JobContainer) ([]*corev1.Secret, error) {
	var secrets []*corev1.Secret
	for i, logins := range logins(containers) {
		config, err := json.Marshal(map[string]any{"auths": logins})
		if err != nil {
			return nil, fmt.Errorf("write the job's pull Secret: %w", err)
		}
		name := s.Name + "-pull"
		if i > 0 {
			name += strconv.Itoa(i + 1)
		}
		secrets = append(secrets, &corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: s.meta(name),
			Type:       corev1.SecretTypeDockerConfigJson,
			Immutable:  new(true),
			Data:       map[string][]byte{corev1.DockerConfigJsonKey: config},
		})
	}
	return secrets, nil
}

// logins are those of containers by their repositories, in as few maps as can hold
// them.
func logins(containers []hook.JobContainer) []map[string]login {
	var all []map[string]login
	for _, c := range containers {
		key, known := repository(c.Container.Image)
		if c.Registry == nil || !known {
			continue
		}
		who := c.Registry.Username + ":" + c.Registry.Password
		own := login{c.Registry.Username, c.Registry.Password, base64.StdEncoding.EncodeToString([]byte(who))}
		at := slices.IndexFunc(all, func(logins map[string]login) bool {
			other, taken := logins[key]
			return !taken || other == own
		})
		if at < 0 {
			at, all = len(all), append(all, map[string]login{})
		}
		all[at][key] = own
	}
	return all
}

// repository is what the kubelet finds the login of an image by. An image whose name
// cannot be read has none: the node says what is wrong with it.
func repository(image string) (key string, known bool) {
	parsed, err := name.ParseReference(image)
	if err != nil {
		return "", false
	}
	if parsed.Context().RegistryStr() == name.DefaultRegistry {
		return hub, true
	}
	return parsed.Context().Name(), true
}
