package registry

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// MaxRefusal is how much has to be read of a registry's refusal, in bytes.
const MaxRefusal = 64 << 10

// keepsTexts are what registries say when a tag exists and must not change, in
// small letters. There is no code for it in the registry API, and they differ in
// the status as well:
//
//   - Amazon ECR: TAG_INVALID, "The image tag '...' already exists in the '...'
//     repository and cannot be overwritten because the repository is immutable."
//     (https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html)
//   - Google Artifact Registry: MANIFEST_INVALID, "cannot update tag ... The
//     repository has enabled tag immutability"
//     (https://cloud.google.com/artifact-registry/docs/docker/troubleshoot#push)
//   - Harbor: 412, "Failed to process request due to '...' configured as
//     immutable." (src/server/middleware/immutable)
//   - Azure: REGISTRY_DISALLOWED_OPERATION, "The operation is disallowed on this
//     registry, repository or image." for a locked image, and for a full registry
//     (https://learn.microsoft.com/azure/container-registry/container-registry-image-lock)
//   - Alibaba Cloud: "The requested tag already exists and cannot be
//     overwritten."; Mirantis: "... cannot be overwritten because ... is an
//     immutable repository"
func keepsTexts() []string {
	return []string{"immutab", "already exist", "cannot be overwritten", "operation is disallowed on this registry"}
}

// Keeps returns what a registry says when it keeps the image that the tag has,
// or "" for any other refusal of a manifest. Whoever acts on it looks the tag
// up: an Azure registry that is full says the same.
func Keeps(status int, body []byte) string {
	switch {
	case status < http.StatusBadRequest || status >= http.StatusInternalServerError:
		return ""
	case status == http.StatusUnauthorized || status == http.StatusNotFound || status == http.StatusTooManyRequests:
		return ""
	}
	text := refusal(body)
	lower := strings.ToLower(text)
	if !slices.ContainsFunc(keepsTexts(), func(part string) bool { return strings.Contains(lower, part) }) {
		return ""
	}
	return text
}

// refusal is the text of a registry's errors, or of an answer in another form,
// on one line.
func refusal(body []byte) string {
	var answer struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Errors) == 0 {
		return strings.Join(strings.Fields(string(body)), " ")
	}
	texts := make([]string, 0, len(answer.Errors))
	for _, e := range answer.Errors {
		texts = append(texts, strings.Join(strings.Fields(e.Code+": "+e.Message), " "))
	}
	return strings.Join(texts, "; ")
}
