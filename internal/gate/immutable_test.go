package gate_test

import (
	"net/http"
	"strings"
	"testing"
)

// A registry that keeps the image of an immutable tag is reported as that,
// whatever its words; every other refusal is not. Both reach the client as they
// are.
func TestImmutableTags(t *testing.T) {
	const answer = `{"errors":[{"code":"%CODE","message":"%TEXT"}]}`
	refuse := func(code, text string) string {
		return strings.NewReplacer("%CODE", code, "%TEXT", text).Replace(answer)
	}
	tests := []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"Amazon", 400, refuse("TAG_INVALID", "The image tag 'k1-0' already exists in the 'app' repository and cannot be overwritten because the repository is immutable."), "kept TAG_INVALID: The image tag 'k1-0' already exists"},
		{"Google", 400, refuse("MANIFEST_INVALID", "cannot update tag k1-0. The repository has enabled tag immutability"), "kept MANIFEST_INVALID: cannot update tag"},
		{"Harbor", 412, refuse("PRECONDITION", "Failed to process request due to 'app:k1-0' configured as immutable."), "kept PRECONDITION: Failed"},
		{"Azure", 405, refuse("REGISTRY_DISALLOWED_OPERATION", "The operation is disallowed on this registry, repository or image."), "kept REGISTRY_DISALLOWED_OPERATION"},
		{"conflict", 409, refuse("DENIED", "tag\\nalready exists"), "kept DENIED: tag already exists\n"},
		{"plain text", 403, "The requested tag already exists and cannot be overwritten.", "kept The requested tag"},
		{"long", 409, strings.Repeat("immutable ", 7000), "kept immutable immutable"},
		{"denied", 403, refuse("DENIED", "requested access to the resource is denied"), ""},
		{"invalid", 400, refuse("MANIFEST_INVALID", "manifest invalid"), ""},
		{"absent", 404, refuse("NAME_UNKNOWN", "immutable"), ""},
		{"server error", 500, refuse("UNKNOWN", "immutable"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := newUpstream(t, func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(tt.status)
					_, _ = w.Write([]byte(tt.body))
				})
			})
			g, path := startPush(t, target)
			status, body := g.do(t, "PUT", path, ociType, manifest(""))
			if status != tt.status || body != tt.body[:min(len(tt.body), 64<<10)] {
				t.Errorf("answer %d %s", status, body)
			}
			log := strings.TrimPrefix(g.log.String(), "listening\n")
			if tt.want == "" && log != "" || !strings.HasPrefix(log, tt.want) || len(log) > 501 {
				t.Errorf("log %q, want %q", log, tt.want)
			}
		})
	}
}
