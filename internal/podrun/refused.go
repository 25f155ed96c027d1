package podrun

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/failure"
)

// call names one API request in the words of a Role.
type call struct {
	verb, resource, name string
}

// refused wraps err with its class, with what was tried and, where the API
// server said no, with what has to change. nil stays nil; a missing pod becomes
// ErrGone, and the end of the caller's context stays what it is.
func (c Client) refused(did call, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err) && strings.HasPrefix(did.resource, "pods") && did.verb != "create":
		return fmt.Errorf("%s %s %s/%s: %w", did.verb, did.resource, c.Namespace, did.name, ErrGone)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s %s %s/%s: %w", did.verb, did.resource, c.Namespace, did.name, err)
	}
	reason, hint := answered(err), c.hint(err)
	switch reason {
	case failure.ClusterUnreachable:
		hint = reason.Hint()
	case failure.TokenRefused:
		hint = "the service account of the runner pod was deleted, or made anew, after the pod had started: " + reason.Hint()
	}
	if hint != "" {
		hint = "; " + hint
	}
	return failure.New(reason, "%s %s %s/%s: %w%s", did.verb, did.resource, c.Namespace, did.name, err, hint)
}

// podSecurityRefused is the PodSecurity admission plugin's phrase.
const podSecurityRefused = "violates PodSecurity"

// hint says what to change so that a forbidden call is allowed. The phrases are
// those of the API server's authorizer (k8s.io/apiserver
// pkg/endpoints/handlers/responsewriters/errors.go) and of admission.
func (c Client) hint(err error) string {
	if !apierrors.IsForbidden(err) {
		return ""
	}
	if hint := admissionHint(err.Error(), c.Namespace); hint != "" {
		return hint
	}
	return c.missingRight(err.Error())
}

// admissionHint says what to change in the namespace so that a pod is admitted
// that was refused with message; "" where it is not known. The phrases are those
// of the PodSecurity admission plugin (k8s.io/pod-security-admission) and of the
// ResourceQuota admission plugin (k8s.io/apiserver
// pkg/admission/plugin/resourcequota).
func admissionHint(message, namespace string) string {
	switch {
	case strings.Contains(message, podSecurityRefused):
		return fmt.Sprintf("label the namespace %s with pod-security.kubernetes.io/enforce=baseline, the level kiln's pods need", namespace)
	case strings.Contains(message, "exceeded quota"):
		return fmt.Sprintf("raise the ResourceQuota of namespace %s or wait until other pods have ended", namespace)
	case strings.Contains(message, "failed quota"):
		return fmt.Sprintf("the ResourceQuota of namespace %s wants values that the pod does not set; a LimitRange can supply them", namespace)
	}
	return ""
}

// missingRight reads verb and resource out of the authorizer's refusal: the
// server may ask for another verb than the client meant (a WebSocket attach is a
// get, and a create besides since Kubernetes 1.35).
func (c Client) missingRight(message string) string {
	_, right, found := strings.Cut(message, " cannot ")
	if !found {
		return ""
	}
	verb, rest, _ := strings.Cut(right, ` resource "`)
	resource, _, found := strings.Cut(rest, `"`)
	if !found {
		return ""
	}
	return fmt.Sprintf("kiln's service account needs the verb %q on %q in namespace %s", verb, resource, c.Namespace)
}

// final reports whether repeating a call that failed with err is pointless.
func final(err error) bool {
	return errors.Is(err, ErrGone) || apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsMethodNotSupported(err)
}

// Refused reports whether the API server has said that it did not create the
// object of a create request. Any other error, such as a lost answer, may leave
// an object behind. An object of that name that was there before counts as
// refused: it is not the caller's.
func Refused(err error) bool {
	switch apierrors.ReasonForError(err) {
	case metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonAlreadyExists,
		metav1.StatusReasonBadRequest, metav1.StatusReasonUnauthorized, metav1.StatusReasonNotFound,
		metav1.StatusReasonMethodNotAllowed, metav1.StatusReasonRequestEntityTooLarge,
		metav1.StatusReasonTooManyRequests, metav1.StatusReasonUnsupportedMediaType:
		return true
	}
	return false
}
