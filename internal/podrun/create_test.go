package podrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// TestCreateIsSeenThrough cancels while the API server is busy creating: the
// caller learns that the object is there.
func TestCreateIsSeenThrough(t *testing.T) {
	meta := metav1.ObjectMeta{Name: "o", Namespace: "ns"}
	creates := map[string]func(context.Context, Client) error{
		"pod": func(ctx context.Context, c Client) error {
			_, err := c.CreatePod(ctx, &corev1.Pod{ObjectMeta: meta})
			return err
		},
		"job": func(ctx context.Context, c Client) error {
			_, err := c.CreateJob(ctx, &batchv1.Job{ObjectMeta: meta})
			return err
		},
		"secret": func(ctx context.Context, c Client) error {
			_, err := c.CreateSecret(ctx, &corev1.Secret{ObjectMeta: meta})
			return err
		},
	}
	for name, create := range creates {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var created atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				cancel()
				created.Add(1)
				var object any
				_ = json.NewDecoder(r.Body).Decode(&object)
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusCreated)
				_ = json.NewEncoder(w).Encode(object)
			}))
			defer server.Close()
			client, err := NewClient(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, "ns")
			if err != nil {
				t.Fatal(err)
			}
			if err := create(ctx, client); err != nil {
				t.Errorf("cancelled while creating: %v, want none: the object is there", err)
			}
			if err := create(ctx, client); !errors.Is(err, context.Canceled) || created.Load() != 1 {
				t.Errorf("cancelled before: %v after %d creations, want %v after 1", err, created.Load(), context.Canceled)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"made":          {nil, false},
		"forbidden":     {apierrors.NewForbidden(podsResource, "p", nil), true},
		"wrapped":       {fmt.Errorf("create: %w", apierrors.NewAlreadyExists(podsResource, "p")), true},
		"answer lost":   {io.ErrUnexpectedEOF, false},
		"timeout":       {context.DeadlineExceeded, false},
		"server failed": {apierrors.NewInternalError(io.EOF), false},
		"server slow":   {apierrors.NewTimeoutError("etcd", 1), false},
	} {
		if got := Refused(tt.err); got != tt.want {
			t.Errorf("%s: Refused = %v", name, got)
		}
	}
}
