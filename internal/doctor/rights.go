package doctor

import "strings"

// Right is what kiln may have to do with one resource of its namespace.
type Right struct {
	// Group and Resource are as in a Role, subresources as "pods/log".
	Group, Resource string
	Verbs           []string
	// Optional rights are missed by nobody but who looks for a reason.
	Optional bool
}

// Rights are all rights of the kiln container, on its own namespace: what the
// Role of the chart and of manifests/ grants, and what is checked.
func Rights() []Right {
	return []Right{
		// Build pods and the pods of actions; patch is for owner entries.
		{Resource: "pods", Verbs: []string{"get", "list", "watch", "create", "delete", "patch"}},
		{Resource: "pods/log", Verbs: []string{"get"}},
		// A WebSocket upgrade is a GET, SPDY a POST.
		{Resource: "pods/attach", Verbs: []string{"get", "create"}},
		{Group: "batch", Resource: "jobs", Verbs: []string{"get", "list", "watch", "create", "delete"}},
		{Resource: "secrets", Verbs: []string{"create", "delete"}},
		{Resource: "events", Verbs: []string{"create", "list"}, Optional: true},
	}
}

// split returns the resource and the subresource.
func (r Right) split() (resource, subresource string) {
	resource, subresource, _ = strings.Cut(r.Resource, "/")
	return resource, subresource
}
