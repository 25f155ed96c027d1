package doctor

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kiln/internal/kube/kubetest"
	"kiln/internal/podrun"
	"kiln/internal/scaleset"
)

// outside returns an examination of a namespace with the objects.
func outside(pods []corev1.Pod, objects ...runtime.Object) *examination {
	return &examination{
		Options: Options{Place: Outside, Namespace: "runners"},
		client:  podrun.Client{Kube: kubetest.New(objects...), Namespace: "runners"},
		pods:    pods,
	}
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "runners"}, Data: data}
}

// settingsOf are settings without a fault.
func settingsOf(more map[string]string) map[string]string {
	data := map[string]string{
		"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST":        "ghcr.io/acme",
		"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_SECRET_NAME": "kiln-registry",
	}
	maps.Copy(data, more)
	return data
}

func TestSettingsFromOutside(t *testing.T) {
	pods := []corev1.Pod{*overlaid(t, scaleset.Sealed)}
	for name, tt := range map[string]struct {
		pods       []corev1.Pod
		data       map[string]string
		files      map[string]string
		status     Status
		seen, mend string
	}{
		"sound":            {pods, settingsOf(nil), nil, OK, "registry ghcr.io/acme", ""},
		"before a runner":  {nil, settingsOf(nil), nil, OK, "registry ghcr.io/acme", ""},
		"no registry":      {pods, map[string]string{}, nil, Fail, envRegistryHost + " is not set", "write the registry to push to, such as ghcr.io/acme/kiln"},
		"wrong value":      {pods, settingsOf(map[string]string{"KILN_PLACEMENT": "moon"}), nil, Fail, `KILN_PLACEMENT is "moon"`, "write same-node or anywhere"},
		"unreadable value": {pods, settingsOf(map[string]string{"KILN_MAX_IN_FLIGHT": "many"}), nil, Fail, `KILN_MAX_IN_FLIGHT is "many"`, "write it as 10"},
		"unknown key":      {nil, settingsOf(map[string]string{"KILN_TAGS": "x"}), nil, Fail, "KILN_TAGS is no setting", "write KILN_TAG"},
		"no template": {
			pods, settingsOf(map[string]string{"KILN_BUILD_TEMPLATE": "/etc/kiln/build.yaml"}),
			map[string]string{"hook.yaml": ""},
			Fail, "KILN_BUILD_TEMPLATE: open /etc/kiln/build.yaml", "mount the file",
		},
		"bad template": {
			pods, settingsOf(map[string]string{"KILN_BUILD_TEMPLATE": "/etc/kiln/build.yaml"}),
			map[string]string{"build.yaml": "spec: 1"},
			Fail, "KILN_BUILD_TEMPLATE: /etc/kiln/build.yaml", "",
		},
		"template": {
			pods, settingsOf(map[string]string{"KILN_BUILD_TEMPLATE": "/etc/kiln/build.yaml"}),
			map[string]string{"build.yaml": "spec: {priorityClassName: low}"},
			OK, "registry ghcr.io/acme", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := outside(tt.pods, configMap("kiln", tt.data), configMap("kiln-files", tt.files))
			findings := e.readSettings(t.Context())
			wantFinding(t, findings, tt.status, tt.seen, tt.mend)
			if len(findings) != 1 {
				t.Errorf("findings = %+v", findings)
			}
		})
	}
	wantFinding(t, outside(nil).readSettings(t.Context()), Fail, "there is no ConfigMap kiln in namespace runners", "install the chart")
}

// dockerConfig is the content of a Secret with credentials for a host.
func dockerConfig(host string) map[string][]byte {
	return map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{"` + host + `":{"username":"u","password":"p"}}}`)}
}

func TestSecretFromOutside(t *testing.T) {
	for name, tt := range map[string]struct {
		kind       corev1.SecretType
		data       map[string][]byte
		status     Status
		seen, mend string
	}{
		"sound":      {corev1.SecretTypeDockerConfigJson, dockerConfig("ghcr.io"), OK, "the Secret kiln-registry has credentials", ""},
		"opaque":     {corev1.SecretTypeOpaque, dockerConfig("ghcr.io"), Fail, "is of type Opaque", "--type=kubernetes.io/dockerconfigjson"},
		"old form":   {corev1.SecretTypeDockercfg, map[string][]byte{".dockercfg": []byte("{}")}, Fail, "is of type kubernetes.io/dockercfg", "--from-file=.dockerconfigjson"},
		"other host": {corev1.SecretTypeDockerConfigJson, dockerConfig("quay.io"), Warn, "has no credentials for ghcr.io", "docker login ghcr.io"},
		"nonsense":   {corev1.SecretTypeDockerConfigJson, map[string][]byte{corev1.DockerConfigJsonKey: []byte("{")}, Fail, "of the Secret kiln-registry", "kubectl create secret"},
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "kiln-registry", Namespace: "runners"}, Type: tt.kind, Data: tt.data}
			e := outside(nil, configMap("kiln", settingsOf(nil)), secret)
			e.readSettings(t.Context())
			findings := e.secret(t.Context())
			wantFinding(t, findings, tt.status, tt.seen, tt.mend)
			if worst(findings) != tt.status {
				t.Errorf("findings = %+v", findings)
			}
		})
	}
	e := outside(nil, configMap("kiln", settingsOf(nil)))
	e.readSettings(t.Context())
	wantFinding(t, e.secret(t.Context()), Fail, `SECRET_NAME is "kiln-registry", and there is no such Secret in namespace runners`, "set registry.secretName of the chart to nothing")
}

// TestSpecimenWithoutRunner wants objects that an API server could judge, though
// there is no runner pod.
func TestSpecimenWithoutRunner(t *testing.T) {
	e := outside(nil, configMap("kiln", settingsOf(nil)))
	e.readSettings(t.Context())
	made, err := e.specimen()
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Build.OwnerReferences)+len(made.Action.OwnerReferences)+len(made.Job.OwnerReferences) > 0 || made.Build.Spec.Containers[1].Image == "" {
		t.Errorf("build pod = %+v", made.Build)
	}
	if claim := made.Job.Spec.Volumes[0].PersistentVolumeClaim.ClaimName; claim == "" {
		t.Error("the pod of a job has no work volume")
	}
	if claim := made.Action.Spec.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName; claim == "" {
		t.Error("the Job has no work volume")
	}
}

// A Kaniko that nobody knows is that setting's fault, and the registry is known
// all the same; no pod of a build can be made.
func TestFlavorFromOutside(t *testing.T) {
	e := outside(nil, configMap("kiln", settingsOf(map[string]string{"KILN_KANIKO_FLAVOR": "podman"})))
	if findings := e.readSettings(t.Context()); worst(findings) != OK {
		t.Errorf("settings: %+v", findings)
	}
	if e.operator == nil || e.operator.Names.PushRegistry() != "ghcr.io" {
		t.Fatalf("the registry is not known: %+v", e.operator)
	}
	if _, err := e.specimen(); err == nil {
		t.Error("a pod is made for a Kaniko that nobody knows")
	}
}
