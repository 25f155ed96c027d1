// Command registry is a small image registry for the test cluster: it runs as
// a container beside the kind nodes, once with and once without basic auth.
//
// Blobs are on disk below REGISTRY_DIR, manifests in memory: what was pushed
// is gone when the container stops. It speaks plain HTTP on port 5000 and asks
// for basic auth when REGISTRY_USER is set. It is not fit for anything but
// tests.
package main

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
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
// carry the user and the password.
func authenticated(next http.Handler, user, password string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		if same(u, user) && same(p, password) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="kiln test registry"`)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
	})
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
