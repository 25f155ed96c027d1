package operatorlog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// TestKubernetes has client-go's log tell of cancelled requests on the level
// debug alone.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		level zapcore.Level
		err   error
		want  []zapcore.Level
	}{
		{"a fault", zapcore.ErrorLevel, errors.New("refused"), []zapcore.Level{zapcore.ErrorLevel}},
		{"no error", zapcore.ErrorLevel, nil, []zapcore.Level{zapcore.ErrorLevel}},
		{"a deadline", zapcore.ErrorLevel, context.DeadlineExceeded, []zapcore.Level{zapcore.ErrorLevel}},
		{"cancelled", zapcore.InfoLevel, context.Canceled, nil},
		{"cancelled, wrapped", zapcore.InfoLevel, fmt.Errorf("read: %w", context.Canceled), nil},
		{"cancelled, for debugging", zapcore.DebugLevel, context.Canceled, []zapcore.Level{zapcore.DebugLevel}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			core, seen := observer.New(test.level)
			Kubernetes(zap.New(core)).WithValues("a", "b").Error(test.err, "said")
			wantLevels(t, seen, test.want...)
		})
	}
}

// TestKubernetesRequest cancels a request of client-go in the midst of its
// answer.
func TestKubernetesRequest(t *testing.T) {
	t.Parallel()
	core, seen := observer.New(zapcore.DebugLevel)
	gone := errors.New("the step was cancelled")
	ctx, cancel := context.WithCancelCause(klog.NewContext(t.Context(), Kubernetes(zap.New(core))))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	client, err := rest.RESTClientFor(&rest.Config{
		Host: server.URL,
		ContentConfig: rest.ContentConfig{
			GroupVersion: &schema.GroupVersion{Version: "v1"}, NegotiatedSerializer: serializer.NewCodecFactory(runtime.NewScheme()),
		},
		WrapTransport: func(below http.RoundTripper) http.RoundTripper {
			return headThenCancel{below, func() { cancel(gone) }}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Get().AbsPath("/x").Do(ctx).Error(); !errors.Is(err, gone) {
		t.Fatalf("error %v, want that of a cancelled request", err)
	}
	wantLevels(t, seen, zapcore.DebugLevel)
}

// headThenCancel cancels once an answer's header is there.
type headThenCancel struct {
	below  http.RoundTripper
	cancel func()
}

// RoundTrip sends the request and cancels.
func (h headThenCancel) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := h.below.RoundTrip(request)
	h.cancel()
	return response, err
}

// wantLevels expects entries of just these levels.
func wantLevels(t *testing.T, seen *observer.ObservedLogs, want ...zapcore.Level) {
	t.Helper()
	var levels []zapcore.Level
	for _, entry := range seen.All() {
		levels = append(levels, entry.Level)
	}
	if diff := cmp.Diff(want, levels); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
}
