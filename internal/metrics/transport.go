package metrics

import (
	"net/http"
	"slices"
	"strconv"
)

// KubernetesTransport counts the requests to the Kubernetes API that go
// through next.
func (m *Metrics) KubernetesTransport(next http.RoundTripper) http.RoundTripper {
	if m == nil {
		return next
	}
	return &transport{next: next, calls: m.kubernetes}
}

// RegistryTransport counts the requests to registries that go through next.
func (m *Metrics) RegistryTransport(next http.RoundTripper) http.RoundTripper {
	if m == nil {
		return next
	}
	return &transport{next: next, calls: m.registryCalls}
}

// transport counts answers by their code.
type transport struct {
	next  http.RoundTripper
	calls *counters
}

// RoundTrip sends one request.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil {
		t.calls.inc("none")
		return response, err
	}
	t.calls.inc(class(response.StatusCode))
	return response, nil
}

// WrappedRoundTripper returns what this one wraps; client-go looks for it
// where it needs the connection itself (k8s.io/apimachinery, util/net).
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }

// class is the value of the label "code".
func class(code int) string {
	if exact := strconv.Itoa(code); slices.Contains(codes(), exact) {
		return exact
	}
	if code < 100 || code > 599 {
		return "none"
	}
	return strconv.Itoa(code/100) + "xx"
}
