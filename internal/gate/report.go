package gate

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"kiln/internal/registry"
)

const (
	// maxReports bounds how many lines of one kind a hostile client can cause.
	maxReports = 100
	// maxReport bounds a line, in bytes.
	maxReport = 500
	// maxMethod and maxPath leave room for the reason.
	maxMethod, maxPath = 16, 300
)

// report writes the gate's log. It is safe for concurrent use.
type report struct {
	mu             sync.Mutex
	out            io.Writer
	denials, notes int
}

// line writes one line. A log that cannot be written to stops nothing: the
// reader misses "listening" or "pushed" and treats the build as failed.
func (r *report) line(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(text)
}

func (r *report) write(text string) { _, _ = io.WriteString(r.out, clip(text, maxReport)+"\n") }

// denied reports a refused request.
func (r *report) denied(method, path, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.denials++
	switch {
	case r.denials <= maxReports:
		r.write(fmt.Sprintf("denied %s %s: %s", clip(method, maxMethod), clip(path, maxPath), reason))
	case r.denials == maxReports+1:
		r.write("# further denied requests are not reported")
	}
}

// note writes a diagnosis for people.
func (r *report) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.notes++; r.notes <= maxReports {
		r.write("# " + fmt.Sprintf(format, args...))
	}
}

// clip makes text printable ASCII and at most limit bytes long.
func clip(text string, limit int) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return clean[:min(len(clean), limit)]
}

// Codes of https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes.
const (
	codeDenied          = "DENIED"
	codeUnauthorized    = "UNAUTHORIZED"
	codeManifestUnknown = "MANIFEST_UNKNOWN"
	codeUploadUnknown   = "BLOB_UPLOAD_UNKNOWN"
	// codeUnavailable is not in the list; clients go by the status.
	codeUnavailable = "UNAVAILABLE"
)

// fail answers with a registry error.
func fail(w http.ResponseWriter, status int, code, message string) {
	body, err := json.Marshal(map[string]any{
		"errors": []map[string]string{{"code": code, "message": "kiln gate: " + clip(message, maxReport)}},
	})
	if err != nil {
		body = nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// failUpstream answers for a registry that could not be used, with the given
// status unless the reason is one that trying again does not change: settings,
// or credentials that the registry refuses while the gate logs in.
func (g *Gate) failUpstream(w http.ResponseWriter, status int, host string, err error) {
	message := fmt.Sprintf("registry %s: %s", host, err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	if untrusted {
		message += "; an operator can name its certificate authority with KILN_CA_CONFIGMAP"
	}
	g.report.note("%s", message)
	if refused, ok := errors.AsType[*transport.Error](err); ok {
		switch refused.StatusCode {
		case http.StatusUnauthorized:
			fail(w, http.StatusUnauthorized, codeUnauthorized, message)
			return
		case http.StatusForbidden:
			fail(w, http.StatusForbidden, codeDenied, message)
			return
		}
	}
	if _, ok := errors.AsType[*registry.SettingsError](err); ok || untrusted {
		fail(w, http.StatusForbidden, codeDenied, message)
		return
	}
	fail(w, status, codeUnavailable, message)
}
