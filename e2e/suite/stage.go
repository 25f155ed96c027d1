package suite

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/e2e/harness"
)

// A Stage is what all tests share: the cluster, and the images of kiln and of the runner.
type Stage struct {
	*harness.Cluster
	Images harness.Images
}

var open = sync.OnceValues(func() (Stage, error) {
	cluster, err := harness.Connect()
	if err != nil {
		return Stage{}, err
	}
	images, err := cluster.BuildImages(context.Background())
	return Stage{cluster, images}, err
})

// Open connects and builds the images, once for all tests.
func Open(t *testing.T) Stage {
	t.Helper()
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// NewNamespace makes a namespace for the test, without kiln, that has the Secret of the
// registry that wants basic auth. The word is part of its name. When the test fails, its
// pods and events are printed.
func (s Stage) NewNamespace(t *testing.T, word string) string {
	t.Helper()
	namespace := "kiln-e2e-" + word + "-" + strings.ToLower(rand.Text()[:6])
	t.Cleanup(func() { s.close(t, namespace) })
	if err := s.BareNamespace(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace
}

func (s Stage) close(t *testing.T, namespace string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if t.Failed() {
		s.Dump(ctx, namespace, t.Output())
	}
	if err := s.DeleteNamespace(ctx, namespace); err != nil {
		t.Error(err)
	}
}

// Example is the directory of an action of examples/actions.
func (s Stage) Example(name string) string {
	return filepath.Join(s.Root, "examples", "actions", name)
}

// Testdata is the directory of an action of the suite's own.
func (s Stage) Testdata(name string) string {
	return filepath.Join(s.Root, "e2e", "testdata", "actions", name)
}

// Busybox is the name that pods have for the image.
func (s Stage) Busybox() string { return s.Registry + "/library/busybox:latest" }
