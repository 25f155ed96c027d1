package repo_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"

	"kiln/internal/golden"
	"kiln/internal/kube"
	"kiln/internal/label"
	"kiln/internal/scaleset"
)

// decode reads a file of objects, and fails on a field that its type does not have. Those
// of the Prometheus operator, whose types are not linked in, are left out.
func decode(t *testing.T, file string) []runtime.Object {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	scheme := kube.NewScheme()
	if err := networkingv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	var objects []runtime.Object
	for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if bytes.Contains(document, []byte("apiVersion: monitoring.coreos.com/")) {
			continue
		}
		object, _, err := strict.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		objects = append(objects, object)
	}
}

// rendered are the chart's objects as e2e/helm renders them with its values file of that
// name.
func rendered(t *testing.T, values string) []runtime.Object {
	t.Helper()
	if golden.Updating() {
		t.Skip("the chart is rendered after it is written")
	}
	return decode(t, filepath.Join(root, "e2e", "helm", "testdata", values+".rendered.yaml"))
}

// named returns the object of a type and name.
func named[T interface {
	runtime.Object
	metav1.Object
}](t *testing.T, objects []runtime.Object, name string) T {
	t.Helper()
	for _, object := range objects {
		if typed, ok := object.(T); ok && typed.GetName() == name {
			return typed
		}
	}
	var none T
	t.Fatalf("no %T %s", none, name)
	return none
}

// TestChartAgrees holds the chart's defaults to manifests/: the same objects, but for
// what Helm adds to their metadata, and the overlays, which kilnd prints without it.
func TestChartAgrees(t *testing.T) {
	plain := func(objects []runtime.Object) map[string]runtime.Object {
		byName := map[string]runtime.Object{}
		for _, object := range objects {
			object = object.DeepCopyObject()
			meta, ok := object.(metav1.Object)
			if !ok {
				t.Fatalf("%T has no metadata", object)
			}
			kind := object.GetObjectKind().GroupVersionKind().Kind
			if kind == "Pod" || meta.GetName() == "kiln-overlays" {
				continue
			}
			meta.SetLabels(nil)
			if binding, ok := object.(*rbacv1.RoleBinding); ok {
				for i := range binding.Subjects {
					binding.Subjects[i].Namespace = "" // kubectl -n and kustomize add it
				}
			}
			byName[kind+"/"+meta.GetName()] = object
		}
		return byName
	}
	if diff := cmp.Diff(plain(manifests(t)), plain(rendered(t, "default"))); diff != "" {
		t.Errorf("chart and manifests differ (-manifests +chart):\n%s", diff)
	}
}

// TestChartOverlays shows that the overlays of an installed chart are those that kilnd
// render-values prints for the same settings.
func TestChartOverlays(t *testing.T) {
	for values, settings := range map[string]scaleset.Settings{
		"default": {Image: "registry.example.com/kiln:dev", RegistrySecret: "kiln-registry"},
		"closed": {
			Image: "registry.example.com/kiln:dev", RegistrySecret: "kiln-registry",
			Proxy:     scaleset.Proxy{Secret: "kiln-proxy", No: []string{"172.18.0.2/32", "10.0.0.0/8", "fd00:10::/32"}},
			Resources: scaleset.Resources{MemoryLimit: scaleset.NoLimit},
		},
		"full": {
			Image: "registry.example.com/kiln:dev", RunnerImage: "registry.example.com/runner:v2",
			ImagePullSecrets: []string{"registry-login", "other-login"},
			PullSecret:       "base-images", CAConfigMap: "registry-ca",
			Proxy: scaleset.Proxy{HTTP: "http://proxy.example.com:3128", HTTPS: "http://proxy.example.com:3129", No: []string{
				".example.com", "172.18.0.2/32", "10.0.0.0/8", "fd00:10::/32",
			}},
			Resources: scaleset.Resources{CPURequest: "20m", CPULimit: "1", MemoryRequest: "64Mi", MemoryLimit: "136Mi"},
			Delegate:  "/home/runner/k8s/other.js", WorkSize: "20Gi", AccessMode: "ReadWriteMany", StorageClass: "fast",
		},
	} {
		got := named[*corev1.ConfigMap](t, rendered(t, values), "kiln-overlays").Data
		want := map[string]string{}
		for _, mode := range []string{scaleset.Sealed, scaleset.Kubernetes} {
			settings.Mode = mode
			text, err := scaleset.Values(settings)
			if err != nil {
				t.Fatal(err)
			}
			want[mode] = text
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with the %s values (-render-values +chart):\n%s", values, diff)
		}
	}
}

// TestChartSettings shows how values become the environment of the kiln container.
func TestChartSettings(t *testing.T) {
	objects := rendered(t, "full")
	want := map[string]string{
		"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PUSH": "push.example.com/actions",
		"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PULL": "pull.example.com/actions",
		"ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE":                "/etc/kiln/hook-template.yaml",
		"KILN_BUILD_TEMPLATE":                                   "/etc/kiln/build-template.yaml",
		"KILN_BUILD_TIMEOUT":                                    "45m",
		"KILN_IMAGE":                                            "registry.example.com/kiln:dev",
		"KILN_PLACEMENT":                                        "anywhere",
		"KILN_CONTEXT_MAX_BYTES":                                "536870912",
	}
	if diff := cmp.Diff(want, named[*corev1.ConfigMap](t, objects, "kiln").Data); diff != "" {
		t.Errorf("settings differ (-want +got):\n%s", diff)
	}
	files := map[string]string{
		"hook-template.yaml":  "spec:\n  priorityClassName: low\n",
		"build-template.yaml": "spec:\n  nodeSelector:\n    pool: builds\n",
	}
	if diff := cmp.Diff(files, named[*corev1.ConfigMap](t, objects, "kiln-files").Data); diff != "" {
		t.Errorf("files differ (-want +got):\n%s", diff)
	}
}

// TestChartBindings shows who gets the Role.
func TestChartBindings(t *testing.T) {
	var got []string
	for _, subject := range named[*rbacv1.RoleBinding](t, rendered(t, "full"), "kiln").Subjects {
		got = append(got, subject.Namespace+"/"+subject.Name)
	}
	want := []string{"runners/kiln", "runners/my-set-gha-rs-kube-mode", "runners/other-gha-rs-kube-mode", "runners/extra"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bindings differ (-want +got):\n%s", diff)
	}
}

// egress lists the rules of the network policy, one line each.
func egress(t *testing.T, values string) []string {
	t.Helper()
	policy := named[*networkingv1.NetworkPolicy](t, rendered(t, values), "kiln-build")
	if len(policy.Spec.Ingress) > 0 || !slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
		t.Errorf("%s: build pods can be reached: %v", values, policy.Spec.Ingress)
	}
	if got := policy.Spec.PodSelector.MatchLabels; !cmp.Equal(got, map[string]string{"kiln.build/role": "build"}) {
		t.Errorf("%s: selects %v", values, got)
	}
	var lines []string
	for _, rule := range policy.Spec.Egress {
		var parts []string
		for _, peer := range rule.To {
			if peer.IPBlock != nil {
				parts = append(parts, strings.Join(append([]string{peer.IPBlock.CIDR}, peer.IPBlock.Except...), " not "))
				continue
			}
			parts = append(parts, metav1.FormatLabelSelector(peer.NamespaceSelector)+" "+metav1.FormatLabelSelector(peer.PodSelector))
		}
		for _, port := range rule.Ports {
			parts = append(parts, string(*port.Protocol)+" "+port.Port.String())
		}
		lines = append(lines, strings.Join(parts, ", "))
	}
	return lines
}

// TestChartJobs shows who reaches job pods: runner pods, which have the label that the
// overlays give them, job pods and those of actions. Pods of builds do not.
func TestChartJobs(t *testing.T) {
	own := named[*networkingv1.NetworkPolicy](t, rendered(t, "default"), "kiln-job").Spec
	if !cmp.Equal(own.PolicyTypes, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}) || len(own.Ingress) != 1 {
		t.Fatalf("%+v", own)
	}
	if got := metav1.FormatLabelSelector(&own.PodSelector); got != label.Role+"="+label.RoleJob {
		t.Errorf("it is about %s", got)
	}
	var from []labels.Selector
	for _, peer := range own.Ingress[0].From {
		selector, err := metav1.LabelSelectorAsSelector(peer.PodSelector)
		if err != nil || peer.NamespaceSelector != nil || peer.IPBlock != nil {
			t.Fatalf("%+v, %v", peer, err)
		}
		from = append(from, selector)
	}
	for who, pod := range map[string]labels.Set{
		"runner":   named[*corev1.Pod](t, manifests(t), "runner").Labels,
		"job":      label.Of(nil, "1", label.RoleJob),
		"action":   label.Of(nil, "1", label.RoleAction),
		"build":    label.Of(nil, "1", label.RoleBuild),
		"stranger": {"app": "x"},
	} {
		reaches := slices.ContainsFunc(from, func(s labels.Selector) bool { return s.Matches(pod) })
		if want := who != "build" && who != "stranger"; reaches != want {
			t.Errorf("%s: %t", who, reaches)
		}
	}
	for _, object := range rendered(t, "full") {
		if policy, ok := object.(*networkingv1.NetworkPolicy); ok && policy.Name == "kiln-job" {
			t.Error("it is there with jobs: false")
		}
	}
}

// TestChartNetwork shows what build pods reach with each variant of the policy.
func TestChartNetwork(t *testing.T) {
	const dns = "kubernetes.io/metadata.name=kube-system k8s-app=kube-dns, 169.254.20.10/32, UDP 53, TCP 53"
	// Metadata and credentials: link-local addresses and those of Azure and Alibaba;
	// by IPv6 those of AWS (EC2, EKS), Google, Oracle and Scaleway.
	const (
		clouds4 = " not 169.254.0.0/16 not 168.63.129.16/32 not 100.100.100.200/32"
		clouds6 = " not fe80::/10 not fd00:ec2::/32 not fd20:ce::254/128 not fd00:c1::a9fe:a9fe/128 not fd00:42::42/128"
	)
	for values, want := range map[string][]string{
		"default": {dns, "0.0.0.0/0" + clouds4 + ", ::/0" + clouds6},
		"closed": {
			dns,
			"0.0.0.0/0" + clouds4 + " not 172.18.0.2/32 not 10.0.0.0/8, ::/0" + clouds6 + " not fd00:10::/32",
			"10.1.2.3/32, TCP 5000",
		},
		"full": {
			"kubernetes.io/metadata.name=dns <none>, UDP 53, TCP 53",
			"kubernetes.io/metadata.name=registry app=registry, TCP 5000",
			"10.1.2.3/32, TCP 3128, TCP 443",
			"203.0.113.0/24",
		},
	} {
		if diff := cmp.Diff(want, egress(t, values)); diff != "" {
			t.Errorf("with the %s values (-want +got):\n%s", values, diff)
		}
	}
}
