package doctor

import (
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// cleanupFinalizer is on the accounts, Roles and RoleBindings of a scale set's chart, so
// that they outlive its runners. The controller takes it off when the set is deleted, from
// what the set's annotations name (actions-runner-controller,
// autoscalingrunnerset_controller.go).
const cleanupFinalizer = "actions.github.com/cleanup-protection"

// hangingFindings looks for objects that wait for that for ever. An upgrade of a scale
// set that changes its account has Helm delete the former one and the annotation with it.
func (e *examination) hangingFindings(ctx context.Context) []Finding {
	var hanging []string
	look := func(kind string, object metav1.ObjectMeta) {
		waits := object.DeletionTimestamp != nil && slices.Contains(object.Finalizers, cleanupFinalizer)
		if waits && !slices.ContainsFunc(e.sets, func(s scaleSet) bool { return s.releases(object.Name) }) {
			hanging = append(hanging, kind+"/"+object.Name)
		}
	}
	// Whoever may not list something is told nothing of it.
	if list, err := e.client.Kube.ServiceAccounts(e.Namespace).List(ctx, metav1.ListOptions{}); err == nil {
		for i := range list.Items {
			look("serviceaccount", list.Items[i].ObjectMeta)
		}
	}
	if list, err := e.client.Kube.Roles(e.Namespace).List(ctx, metav1.ListOptions{}); err == nil {
		for i := range list.Items {
			look("role", list.Items[i].ObjectMeta)
		}
	}
	if list, err := e.client.Kube.RoleBindings(e.Namespace).List(ctx, metav1.ListOptions{}); err == nil {
		for i := range list.Items {
			look("rolebinding", list.Items[i].ObjectMeta)
		}
	}
	if len(hanging) == 0 {
		return nil
	}
	names := strings.Join(hanging, " ")
	return fail("deleted, and held for ever by the finalizer of Actions Runner Controller, as is the namespace when it is deleted: "+names,
		"kubectl patch "+names+" -n "+e.Namespace+` --type=merge -p '{"metadata":{"finalizers":null}}'; docs/install.md, A scale set that is there, has the order that avoids it`)
}
