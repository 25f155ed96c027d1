#!/usr/bin/env bash
# A program that ends a request of its own, by cancelling the context that it gave: what
# k8s.io/client-go v0.37.2 writes to standard error, at klog's usual verbosity, which shows
# what an operator should look at.
#
#   cancelled before the answer's header is there: nothing
#   cancelled behind it, while the body is read: an error, "Unexpected error when reading
#     response body" err="context canceled"
#
# Both requests return an error for which errors.Is(err, context.Canceled) is true. A list is
# the usual case: a program that stops its informers writes that line now and then, by where
# the answer just was, and a log that is searched for errors has one of a program that ended
# well. klog.SetLogger with a sink that looks at the error is the way out.
# Needs Go and its module registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26

require k8s.io/client-go v0.37.2
MOD
cat >main.go <<'GO'
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// trip cancels right behind the header of the answer.
type trip struct {
	below  http.RoundTripper
	cancel context.CancelFunc
}

func (t trip) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.below.RoundTrip(r)
	t.cancel()
	return answer, err
}

// try has a request cancelled by the server's handler, before or behind the header.
func try(name string, behind bool) {
	var log bytes.Buffer
	klog.SetOutput(&log)
	ctx, cancel := context.WithCancel(context.Background())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !behind {
			cancel()
		} else {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusOK)
			http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}))
	defer server.Close()
	client, err := rest.RESTClientFor(&rest.Config{
		Host: server.URL,
		ContentConfig: rest.ContentConfig{
			GroupVersion:         &schema.GroupVersion{Version: "v1"},
			NegotiatedSerializer: serializer.NewCodecFactory(runtime.NewScheme()),
		},
		WrapTransport: func(below http.RoundTripper) http.RoundTripper { return trip{below, cancel} },
	})
	if err != nil {
		panic(err)
	}
	err = client.Get().AbsPath("/api/v1/pods").Do(ctx).Error()
	klog.Flush()
	line := regexp.MustCompile(`(?m)^E\S+ \S+ +\d+ \S+\] `).ReplaceAllString(log.String(), "E ")
	fmt.Printf("%s: cancelled %t, log %q\n", name, errors.Is(err, context.Canceled), line)
}

func main() {
	flags := flag.NewFlagSet("", flag.PanicOnError)
	klog.InitFlags(flags)
	// Each line once, into the buffer.
	flags.Parse([]string{"-logtostderr=false", "-one_output", "-stderrthreshold=FATAL"})
	try("before the header", false)
	try("behind the header", true)
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
before the header: cancelled true, log ""
behind the header: cancelled true, log "E \"Unexpected error when reading response body\" err=\"context canceled\"\n"
SEEN
