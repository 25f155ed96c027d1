package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"time"
)

// keepTags serves the registry at an address in front of another one and lets no
// tag be written twice, in the words of Amazon ECR.
func keepTags(ctx context.Context, address, upstream string) error {
	to, err := url.Parse(upstream)
	if err != nil {
		return fmt.Errorf("parse the registry's address: %w", err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(r *http.Response) error { return relativeLocation(r, to.Host) },
	}
	server := &http.Server{Addr: address, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") && exists(r.Context(), to.JoinPath(r.URL.Path).String()) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"errors":[{"code":"TAG_INVALID","message":"The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the repository is immutable."}]}`,
				path.Base(r.URL.Path), strings.TrimPrefix(path.Dir(path.Dir(r.URL.Path)), "/v2/"))
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return fmt.Errorf("serve the registry: %w", err)
	}
	return nil
}

// exists reports whether a registry has a manifest. One that cannot be asked has
// none: what is to be refused is then written, which a test notices.
func exists(ctx context.Context, manifest string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, manifest, http.NoBody)
	if err != nil {
		return false
	}
	request.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// relativeLocation has uploads go on here.
func relativeLocation(r *http.Response, host string) error {
	if at, err := r.Location(); err == nil && at.Host == host {
		r.Header.Set("Location", at.RequestURI())
	}
	return nil
}
