package podtest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	handler "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"k8s.io/apimachinery/pkg/api/errors"

	"kiln/internal/registry"
)

// Registry is every registry there is: the host of a reference does not matter. It is
// safe for concurrent use. The zero value is not ready, see [NewRegistry].
type Registry struct{ handler http.Handler }

// Image is what a registry can be given.
type Image struct {
	Created time.Time
	Config  v1.Config
	// Arch is the machine's own where it is empty; the system is linux.
	Arch string
	// Layers are the tar archives of its files, if it has any.
	Layers [][]byte
}

// NewRegistry returns one without images.
func NewRegistry() *Registry {
	return &Registry{handler: handler.New(handler.Logger(log.New(io.Discard, "", 0)))}
}

// Put gives the registry an image under a reference with a tag and returns its digest.
// It panics where the reference is none: a test has written it.
func (r *Registry) Put(reference string, image Image) string {
	digest, err := r.put(reference, image)
	if err != nil {
		panic(fmt.Sprintf("put %s: %v", reference, err))
	}
	return digest
}

// put is Put with an error. It does not ask what the registry has already, and so takes a
// request for each of an image's parts.
func (r *Registry) put(reference string, image Image) (string, error) {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return "", err
	}
	made, err := image.make()
	if err != nil {
		return "", err
	}
	config, err := made.RawConfigFile()
	if err != nil {
		return "", err
	}
	manifest, err := made.RawManifest()
	if err != nil {
		return "", err
	}
	repository := "/v2/" + parsed.Context().RepositoryStr()
	for _, blob := range append(slices.Clone(image.Layers), config) {
		if err := r.take(http.MethodPost, repository+"/blobs/uploads/?digest="+digestOf(blob), "application/octet-stream", blob); err != nil {
			return "", err
		}
	}
	return digestOf(manifest), r.take(http.MethodPut, repository+"/manifests/"+parsed.Identifier(), string(types.OCIManifestSchema1), manifest)
}

// take sends the registry a part of an image.
func (r *Registry) take(method, target, mediaType string, part []byte) error {
	request := httptest.NewRequest(method, target, bytes.NewReader(part))
	request.Header.Set("Content-Type", mediaType)
	said := httptest.NewRecorder()
	r.handler.ServeHTTP(said, request)
	if said.Code != http.StatusCreated {
		return fmt.Errorf("%s %s: %d %s", method, target, said.Code, said.Body)
	}
	return nil
}

// digestOf is the digest of a blob or a manifest.
func digestOf(content []byte) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(content))
}

// make is the image as registries hold it.
func (i Image) make() (v1.Image, error) {
	made := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	var err error
	for _, layer := range i.Layers {
		if made, err = mutate.AppendLayers(made, static.NewLayer(layer, types.OCIUncompressedLayer)); err != nil {
			return nil, err
		}
	}
	config, err := made.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config, config.Created = "linux", i.Arch, i.Config, v1.Time{Time: i.Created}
	if i.Arch == "" {
		config.Architecture = runtime.GOARCH
	}
	return mutate.ConfigFile(made, config)
}

// Client returns a client of the registry with faults of its own; nil has none. Its
// calls have the Op "head manifests", "get manifests" and "get blobs", and "get v2" for
// the question whether a registry wants a login. Their Name is the repository with the
// tag or digest behind a colon.
func (r *Registry) Client(faults Faults) *registry.Client {
	return registry.NewClient(registry.ClientConfig{Transport: newTransport(r.handler, faults, lookupOf)})
}

// lookupOf tells what a request to a registry asks for.
func lookupOf(r *http.Request) Call {
	verb := strings.ToLower(r.Method)
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	for _, kind := range []string{"manifests", "blobs"} {
		if repository, id, found := strings.Cut(path, "/"+kind+"/"); found {
			return Call{Op: verb + " " + kind, Name: repository + ":" + id}
		}
	}
	return Call{Op: verb + " v2", Name: path}
}

// Answers is a registry that answers with that HTTP status.
func Answers(code int) Fault {
	return Fault{Err: errors.NewGenericServerResponse(code, "", group(""), "", http.StatusText(code), 0, true)}
}
