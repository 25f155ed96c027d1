package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/cloudlogin"
	"kiln/internal/registry"
)

// loginSecret is a Secret with credentials and its two settings.
type loginSecret struct {
	setting, name string // the Secret's
	variable      string // of the file
	file          string
}

const envRegistrySecret = "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_SECRET_NAME"

// secret looks at the Secrets of the settings: whether they are there, are of
// the type that nodes take, and have credentials for the registry.
func (e *examination) secret(ctx context.Context) []Finding {
	own := loginSecret{envRegistrySecret, e.settings.RegistrySecret, "KILN_DOCKER_CONFIG", e.settings.DockerConfig}
	pull := loginSecret{"KILN_PULL_SECRET_NAME", e.settings.PullSecret, "KILN_PULL_DOCKER_CONFIG", e.settings.PullDocker}
	id := e.settings.CloudIdentity()
	var findings []Finding
	if id.Set() {
		findings = perPod(e.pods, func(pod *corev1.Pod) []Finding { return identityFindings(pod, id) })
	}
	if own.name == "" && pull.name == "" {
		if id.Set() {
			return orOK(findings, "the identity of "+id.Cloud+" takes the place of a Secret for "+id.Registry)
		}
		return e.noSecret(own)
	}
	if own.name != "" {
		content, found := e.oneSecret(ctx, own)
		e.credentials = content
		findings = append(findings, found...)
		if content != nil {
			findings = append(findings, e.hostFindings(own, content)...)
		}
	}
	if pull.name != "" {
		_, found := e.oneSecret(ctx, pull)
		findings = append(findings, found...)
	}
	return orOK(findings, "the Secret "+strings.TrimPrefix(strings.Join([]string{pull.name, own.name}, ", "), ", ")+" has credentials")
}

// noSecret is for settings that name no Secret.
func (e *examination) noSecret(own loginSecret) []Finding {
	if e.inSidecar() {
		if _, err := e.readFile(own.file); err == nil {
			return warn("credentials are mounted at "+own.file+", and "+own.setting+" is not set: build pods and nodes have none",
				"set "+own.setting+" to the name of that Secret")
		}
	}
	return ok("none is set: the registry is used anonymously")
}

// oneSecret reads the content of a Secret: as the file of the kiln container, or
// from outside by the API. Without an error there is content, or a reason why it
// cannot be seen.
func (e *examination) oneSecret(ctx context.Context, l loginSecret) ([]byte, []Finding) {
	if e.inSidecar() {
		return e.insideSecret(ctx, l)
	}
	secret, err := e.client.Kube.Secrets(e.Namespace).Get(ctx, l.name, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return nil, skip("you may not read the Secret " + l.name)
	case apierrors.IsNotFound(err):
		return nil, e.missingSecret(l)
	case err != nil:
		return nil, skip("the Secret " + l.name + " cannot be read: " + err.Error())
	}
	return e.outsideSecret(l, secret)
}

// outsideSecret judges a Secret.
func (e *examination) outsideSecret(l loginSecret, secret *corev1.Secret) ([]byte, []Finding) {
	content, there := secret.Data[corev1.DockerConfigJsonKey]
	switch {
	case secret.Type != corev1.SecretTypeDockerConfigJson:
		return content, fail(fmt.Sprintf("the Secret %s is of type %s, which nodes do not take for credentials", l.name, secret.Type), e.makeSecret(l))
	case !there:
		return nil, fail(fmt.Sprintf("the Secret %s has no key %s", l.name, corev1.DockerConfigJsonKey), e.makeSecret(l))
	}
	return content, nil
}

// insideSecret reads the mounted file. The Role reads no Secret; whether one is
// there tells the attempt to create it, without creating it.
func (e *examination) insideSecret(ctx context.Context, l loginSecret) ([]byte, []Finding) {
	if l.file == "" {
		return nil, warn(l.variable+" is not set: kiln itself looks base images up without credentials", "mount the Secret "+l.name+" in the kiln container and set "+l.variable+" to the file")
	}
	content, err := e.readFile(l.file)
	if err == nil {
		return content, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fail(l.variable+": "+err.Error(), "mount the Secret "+l.name+" so that the container's user can read it")
	}
	_, err = e.client.Kube.Secrets(e.Namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: l.name}, Type: corev1.SecretTypeOpaque,
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil:
		return nil, e.missingSecret(l)
	case !apierrors.IsAlreadyExists(err):
		return nil, fail("there is no file "+l.file+" in the kiln container", "create the Secret "+l.name+" and mount it there, as the overlay does")
	case e.mounts(l):
		return nil, fail(fmt.Sprintf("the Secret %s has no key %s: it is of another type, or was created less than two minutes ago", l.name, corev1.DockerConfigJsonKey), e.makeSecret(l))
	}
	return nil, fail(fmt.Sprintf("the kiln container has not mounted the Secret %s at %s", l.name, l.file),
		"render the overlay with that Secret: kilnd render-values --registry-secret="+l.name+", or registry.secretName of the chart")
}

// mounts reports whether the kiln container mounts the Secret where the file
// should be.
func (e *examination) mounts(l loginSecret) bool {
	if len(e.pods) == 0 {
		return true
	}
	kiln, _ := container(&e.pods[0], containerKiln)
	mount, _ := mounted(kiln, l.file)
	source := volume(&e.pods[0], mount.Name).Secret
	return source != nil && source.SecretName == l.name
}

func (e *examination) missingSecret(l loginSecret) []Finding {
	return fail(fmt.Sprintf("%s is %q, and there is no such Secret in namespace %s", l.setting, l.name, e.Namespace),
		e.makeSecret(l)+"; for a registry that wants no credentials, set registry.secretName of the chart to nothing")
}

// makeSecret is the command for a Secret as it has to be.
func (e *examination) makeSecret(l loginSecret) string {
	return fmt.Sprintf("kubectl create secret generic %s -n %s --type=%s --from-file=%s=$HOME/.docker/config.json, after kubectl delete secret where it exists",
		l.name, e.Namespace, corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey)
}

// hostFindings looks for credentials for the hosts of pushes and pulls.
func (e *examination) hostFindings(l loginSecret, content []byte) []Finding {
	keychain := registry.ContentKeychain("of the Secret "+l.name, content)
	if e.operator == nil {
		return nil
	}
	push, pull := e.operator.Names.Image("kiln", "doctor")
	var findings []Finding
	for _, use := range []struct{ reference, whom string }{{push, "builds push"}, {pull, "nodes pull"}} {
		ref, err := name.ParseReference(use.reference)
		if err != nil {
			continue
		}
		auth, err := keychain.Resolve(ref.Context())
		switch {
		case err != nil:
			return append(findings, fail(err.Error(), e.makeSecret(l))...)
		case auth == authn.Anonymous && !e.inSidecar(): // where login and node-pull tell
			findings = append(findings, warn(fmt.Sprintf("the Secret %s has no credentials for %s: %s without any", l.name, ref.Context().RegistryStr(), use.whom),
				"docker login "+ref.Context().RegistryStr()+", and create the Secret anew from the file: "+e.makeSecret(l))...)
		}
		if push == pull {
			break
		}
	}
	return findings
}

// keychain has the credentials for pushing.
func (e *examination) keychain() authn.Keychain {
	if e.inSidecar() {
		return cloudlogin.Keychain(e.settings.CloudIdentity(), cloudlogin.Run(cloudlogin.Beside(), os.Getenv), registry.FileKeychain(e.settings.DockerConfig))
	}
	return registry.ContentKeychain("of the Secret "+e.settings.RegistrySecret, e.credentials)
}

// pullKeychain has those for the Kaniko image, as the daemon uses them.
func (e *examination) pullKeychain() authn.Keychain {
	allow, err := registry.ParseAllow(e.settings.PullAllow)
	if err != nil {
		return nil // which settings reports: nobody's
	}
	if e.inSidecar() {
		if file := e.settings.PullCredentials(); file != e.settings.DockerConfig {
			return registry.Restrict(registry.FileKeychain(file), allow)
		}
	}
	return registry.Restrict(e.keychain(), allow)
}
