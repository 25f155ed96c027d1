//go:build e2e

package e2e_test

import (
	"context"
	"path"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/suite"
)

// TestNodes has two nodes. By default an action is where the runner and its work
// volume are; where the operator says that the volume is everywhere, builds and
// actions may be elsewhere, and the node there pulls from a registry with
// credentials that it never saw. So may a whole job.
func TestNodes(t *testing.T) {
	t.Parallel()
	s := suite.Open(t)
	nodes := twoNodes(t, s)
	for i, name := range []string{"same node", "same node, the other"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testSameNode(t, nodes[i].Name)
		})
	}
	t.Run("anywhere", func(t *testing.T) {
		t.Parallel()
		testAnywhere(t, nodes[0].Name, nodes[1])
	})
	t.Run("job elsewhere", func(t *testing.T) {
		t.Parallel()
		testJobElsewhere(t, nodes[0].Name, nodes[1])
	})
}

// twoNodes returns two nodes that have a kubelet, or skips the test.
func twoNodes(t *testing.T, s suite.Stage) []corev1.Node {
	t.Helper()
	list, err := s.Kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// TestPlacement's nodes have no runtime.
	nodes := slices.DeleteFunc(list.Items, func(node corev1.Node) bool {
		return node.Status.NodeInfo.ContainerRuntimeVersion == "" || node.Spec.Unschedulable
	})
	if len(nodes) < 2 {
		t.Skip("the cluster has one node: make e2e-nodes starts one with two")
	}
	return nodes[:2]
}

// pinTo keeps a pod to a node, which may be one that is kept for the control plane.
func pinTo(pod *corev1.Pod, node string) {
	pod.Spec.Affinity = suite.OnNode(node)
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})
}

// testSameNode has the whole of an action follow the runner to its node.
func testSameNode(t *testing.T, node string) {
	f := suite.New(t, "same", func(_ suite.Stage, o *harness.PodOptions) {
		o.Adjust = func(pod *corev1.Pod) { pinTo(pod, node) }
	})
	for _, ref := range []string{"v1", "v2", "v3"} {
		results := f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@" + ref}, nil)
		outcome.Success(t, results...)
		// The file command has come back over the work volume.
		if len(results[0].Outputs) == 0 {
			t.Errorf("the action's outputs are lost:\n%s", outcome.Tail(results[0].Log))
		}
	}
	wantNode(t, f, "job", node, 3)
	f.WantNothingLeft(t)
}

// testAnywhere has the runner on one node, and builds and actions on the other.
func testAnywhere(t *testing.T, home string, node corev1.Node) {
	other := node.Name
	template := "spec: {nodeSelector: {kubernetes.io/hostname: " + node.Labels[corev1.LabelHostname] + "}}"
	f := suite.New(t, "anywhere", func(s suite.Stage, o *harness.PodOptions) {
		namespace := path.Base(o.RegistryHost)
		if s.AuthRegistry != "" {
			o.RegistryHost, o.PullSecret = s.AuthRegistry+"/"+namespace, harness.PullSecret
		}
		o.DaemonEnv = map[string]string{"KILN_PLACEMENT": "anywhere"}
		o.BuildTemplate, o.HookTemplate = template, template
		claim := s.AddVolume(t, namespace, "/tmp")
		o.Adjust = func(pod *corev1.Pod) {
			s.UseVolume(pod, claim)
			pinTo(pod, home)
		}
	})
	defer f.ClearWork(t)
	defer clearElsewhere(t, f, other)
	outcome.Success(t, f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)...)
	wantNode(t, f, "kaniko", other, 1)
	wantNode(t, f, "job", other, 1)
	t.Run("pull secret", func(t *testing.T) {
		if f.AuthRegistry == "" {
			t.Skip("KILN_E2E_AUTH_REGISTRY is not set")
		}
		job := f.Seen.With("job")[0]
		if !slices.Contains(job.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: harness.PullSecret}) {
			t.Errorf("pull secrets = %v, want %s", job.Spec.ImagePullSecrets, harness.PullSecret)
		}
		wantPullRefused(t, f, harness.Container(job, "job").Image, other)
	})
	f.WantNothingLeft(t)
}

// wantNode fails the test unless that many pods with a container of the name were
// seen, all of them on the node.
func wantNode(t *testing.T, f *suite.Fixture, container, node string, count int) {
	t.Helper()
	pods := f.Seen.With(container)
	if len(pods) != count {
		t.Errorf("saw %d pods with the container %s, want %d", len(pods), container, count)
	}
	for _, pod := range pods {
		if pod.Spec.NodeName != node {
			t.Errorf("pod %s with the container %s ran on %s, want %s", pod.Name, container, pod.Spec.NodeName, node)
		}
	}
}

// wantPullRefused fails the test unless the node needs the Secret for the image.
func wantPullRefused(t *testing.T, f *suite.Fixture, image, node string) {
	t.Helper()
	createOn(t, f, node, corev1.Container{Name: "stranger", Image: image, ImagePullPolicy: corev1.PullAlways}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := f.Await(ctx, f.Namespace, "stranger", func(pod *corev1.Pod) (bool, error) {
		for _, s := range pod.Status.ContainerStatuses {
			if s.State.Running != nil || s.State.Terminated != nil {
				t.Error("the node pulls the image without the Secret")
				return true, nil
			}
			if s.State.Waiting != nil && s.State.Waiting.Reason == "ErrImagePull" {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		t.Error(err)
	}
}

// clearElsewhere empties the work folder that the node has under the same path.
func clearElsewhere(t *testing.T, f *suite.Fixture, node string) {
	createOn(t, f, node, corev1.Container{
		Name: "clear", Image: f.Busybox(), Command: []string{"sh", "-c", "rm -rf /share/*"},
		VolumeMounts: []corev1.VolumeMount{{Name: "work", MountPath: "/share"}},
	}, []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "everywhere"},
	}}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := f.Await(ctx, f.Namespace, "clear", func(pod *corev1.Pod) (bool, error) {
		if pod.Status.Phase == corev1.PodFailed {
			t.Errorf("the work folder of %s is not empty", node)
		}
		return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed, nil
	})
	if err != nil {
		t.Error(err)
	}
}

// createOn creates a pod of one container, and of its name, on the node.
func createOn(t *testing.T, f *suite.Fixture, node string, c corev1.Container, volumes []corev1.Volume) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: c.Name, Labels: map[string]string{"kiln-harness": "true"}},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: new(int64(0)),
			Containers: []corev1.Container{c}, Volumes: volumes,
		},
	}
	pinTo(pod, node)
	if _, err := f.Kube.CoreV1().Pods(f.Namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
