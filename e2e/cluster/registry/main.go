// Command registry is a small image registry for the test cluster: it runs as
// a container beside the kind nodes, once with and once without basic auth.
//
// Blobs are on disk below REGISTRY_DIR, manifests in memory: what was pushed
// is gone when the container stops. It speaks plain HTTP on port 5000 and asks
// for basic auth when REGISTRY_USER is set. The user USER@REPOSITORY has the
// same password, and may read that repository alone. It is not fit for anything
// but tests.
package main

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

const address = ":5000"

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
}

func serve() error {
	dir := os.Getenv("REGISTRY_DIR")
	if dir == "" {
		dir = "/data"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	handler := registry.New(
		registry.Logger(log.New(io.Discard, "", 0)),
		registry.WithBlobHandler(registry.NewDiskBlobHandler(dir)),
		registry.WithReferrersSupport(true),
	)
	if user := os.Getenv("REGISTRY_USER"); user != "" {
		handler = authenticated(handler, user, os.Getenv("REGISTRY_PASSWORD"))
	}
	server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

// authenticated answers 401 with a challenge to every request that does not
// carry the user and the password, and 403 to one of a user who may not do that.
func authenticated(next http.Handler, user, password string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		u, repository, limited := strings.Cut(u, "@")
		switch {
		case !same(u, user) || !same(p, password):
			w.Header().Set("WWW-Authenticate", `Basic realm="kiln test registry"`)
			refuse(w, http.StatusUnauthorized, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		case limited && !reads(r, repository):
			refuse(w, http.StatusForbidden, `{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}`)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// reads says whether a request does nothing but read the repository.
func reads(r *http.Request, repository string) bool {
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	return reading && (r.URL.Path == "/v2/" || strings.HasPrefix(r.URL.Path, "/v2/"+repository+"/"))
}

func refuse(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
