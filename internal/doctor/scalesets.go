package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// scaleSet is what is read of an AutoscalingRunnerSet, and runner of an
// EphemeralRunner (actions-runner-controller, apis/actions.github.com/v1alpha1).
type (
	scaleSet struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Spec     struct {
			MinRunners int                    `json:"minRunners"`
			Template   corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	runner struct {
		Metadata metav1.ObjectMeta      `json:"metadata"`
		Spec     corev1.PodTemplateSpec `json:"spec"`
		Status   struct {
			Phase   string `json:"phase"`
			Message string `json:"message"`
		} `json:"status"`
	}
)

// withKiln reports whether the runner pods of the set get kiln.
func (s scaleSet) withKiln() bool { return hasKiln(&corev1.Pod{Spec: s.Spec.Template.Spec}) }

// The annotation in which a chart tells the controller a Role of its own, and how the
// Role is called by the chart gha-runner-scale-set-experimental alone: both charts give
// the set the same labels.
const (
	annotationManagerRole = "actions.github.com/cleanup-manager-role-name"
	experimentalRole      = "-manager-role"
)

// experimental reports whether the set is of the chart gha-runner-scale-set-experimental.
func (s scaleSet) experimental() bool {
	return strings.HasSuffix(s.Metadata.Annotations[annotationManagerRole], experimentalRole)
}

// releases reports whether the set is being deleted, and the controller takes its
// finalizer off the object of that name when it is done (autoscalingrunnerset_controller.go,
// removeFinalizersFromDependentResources).
func (s scaleSet) releases(name string) bool {
	if s.Metadata.DeletionTimestamp == nil {
		return false
	}
	for annotation, value := range s.Metadata.Annotations {
		if strings.HasPrefix(annotation, "actions.github.com/cleanup-") && value == name {
			return true
		}
	}
	return false
}

// scaleSets looks at what Actions Runner Controller and its charts have in the
// namespace. The service account of the kiln container may not read it.
func (e *examination) scaleSets(ctx context.Context) []Finding {
	if e.inSidecar() {
		return skip("kiln's service account may not read them: kilnd doctor --namespace " + e.Namespace + " from elsewhere does")
	}
	sets, err := controllerObjects[scaleSet](ctx, e, "autoscalingrunnersets")
	switch {
	case apierrors.IsNotFound(err):
		sets, err = nil, nil // nor are there runners
	case err != nil:
		return skip("the runner scale sets cannot be read: " + err.Error())
	}
	e.sets = sets
	findings := chartFindings(sets)
	if len(sets) > 0 {
		runners, unread := controllerObjects[runner](ctx, e, "ephemeralrunners")
		findings = append(findings, failedFindings(runners)...)
		err = unread
	}
	findings = append(findings, e.hangingFindings(ctx)...)
	switch {
	case len(findings) > 0:
		return findings
	case err != nil:
		return skip("the runners of the scale sets cannot be read: " + err.Error())
	case len(sets) == 0:
		return skip("the namespace has no runner scale set")
	}
	return ok(fmt.Sprintf("%d, of which %d with kiln", len(sets), len(e.setsWithKiln())))
}

// setsWithKiln are the scale sets whose runner pods get kiln.
func (e *examination) setsWithKiln() []scaleSet {
	return slices.DeleteFunc(slices.Clone(e.sets), func(s scaleSet) bool { return !s.withKiln() })
}

// controllerObjects lists a resource of Actions Runner Controller.
func controllerObjects[T any](ctx context.Context, e *examination, resource string) ([]T, error) {
	data, err := e.client.Kube.Raw(ctx, "/apis/actions.github.com/v1alpha1/namespaces/"+e.Namespace+"/"+resource)
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []T `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("read the %s: %w", resource, err)
	}
	return list.Items, nil
}

// chartFindings looks for sets of a chart that knows no overlay: it ignores the values
// of one without a word. Beside sets with kiln such a set may be meant to have none.
func chartFindings(sets []scaleSet) []Finding {
	others := slices.ContainsFunc(sets, func(s scaleSet) bool { return s.withKiln() && !s.experimental() })
	var findings []Finding
	for _, s := range sets {
		if !s.experimental() {
			continue
		}
		status := Fail
		if others && !s.withKiln() {
			status = Warn
		}
		findings = append(findings, one(status, "the scale set "+s.Metadata.Name+" is of the chart gha-runner-scale-set-experimental, which ignores the overlay and which kiln does not support",
			"install it with the chart gha-runner-scale-set and the overlay (docs/install.md, The overlay)")...)
	}
	return findings
}

// failedFindings looks for runners that the controller has given up: there is no pod,
// and there will be none until the EphemeralRunner is deleted.
func failedFindings(runners []runner) []Finding {
	var findings []Finding
	for _, r := range runners {
		if r.Status.Phase != "Failed" || !hasKiln(&corev1.Pod{Spec: r.Spec.Spec}) {
			continue
		}
		mend := "mend what it names"
		if text := r.Status.Message; strings.Contains(text, "serviceaccount") && strings.Contains(text, "not found") {
			mend = makeAccount(r.Spec.Spec.ServiceAccountName)
		}
		findings = append(findings, fail("Actions Runner Controller has given the runner "+r.Metadata.Name+" up: "+r.Status.Message,
			fmt.Sprintf("%s; then kubectl delete ephemeralrunner %s -n %s: until then no other takes its place", mend, r.Metadata.Name, r.Metadata.Namespace))...)
	}
	return findings
}

// makeAccount is what brings a service account of runner pods back.
func makeAccount(account string) string {
	if account == sealedAccount {
		return "install kiln's chart, or apply manifests/, which create the service account " + account
	}
	return "create the service account " + account + ": the chart of the scale set does, unless its values set template.spec.serviceAccountName"
}
