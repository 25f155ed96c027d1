package kube

import (
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// NewScheme returns a scheme with the API groups that kiln speaks: their kinds are coded
// and decoded by it, and no others.
func NewScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	// The options of requests are of the group meta, in the version of the core.
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, batchv1.AddToScheme, rbacv1.AddToScheme, authorizationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(fmt.Sprintf("register an API group: %v", err)) // two kinds of one name
		}
	}
	return scheme
}
