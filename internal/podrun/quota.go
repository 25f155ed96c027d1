package podrun

import (
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
)

// overQuota is how the ResourceQuota admission plugin says that a quota is full
// (k8s.io/apiserver pkg/admission/plugin/resourcequota/controller.go).
const overQuota = "exceeded quota: "

// QuotaFull returns what the API server says of the quota for which it refused
// to create a pod, as one line in the words of [Explain], or "" where err is no
// such refusal. Other pods may end and make room; never says that none can, since
// the quota as a whole is less than the pod wants.
func (c Client) QuotaFull(err error) (reason string, never bool) {
	if !apierrors.IsForbidden(err) {
		return "", false
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return "", false
	}
	_, about, found := strings.Cut(status.Status().Message, overQuota)
	if !found {
		return "", false
	}
	text := sentence("the cluster refuses the pod", overQuota+about)
	return text + "; " + admissionHint(text, c.Namespace), exceedsAll(about)
}

// exceedsAll reports whether a pod asks for more than a quota has in all: about
// is "NAME, requested: pods=1, used: pods=3, limited: pods=3", each with one
// entry for every resource that is short.
func exceedsAll(about string) bool {
	_, about, _ = strings.Cut(about, ", requested: ")
	requested, about, _ := strings.Cut(about, ", used: ")
	_, limited, _ := strings.Cut(about, ", limited: ")
	limits := quantities(limited)
	for name, want := range quantities(requested) {
		if limit, known := limits[name]; known && want.Cmp(limit) > 0 {
			return true
		}
	}
	return false
}

// quantities reads "limits.memory=2Gi,pods=1". What cannot be read is left out.
func quantities(text string) map[string]resource.Quantity {
	all := map[string]resource.Quantity{}
	for entry := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(entry), "=")
		if quantity, err := resource.ParseQuantity(value); err == nil {
			all[name] = quantity
		}
	}
	return all
}
