package doctor

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kiln/internal/registry"
	"kiln/internal/resolver"
)

const (
	envRegistryHost = "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST"
	envRegistryPull = envRegistryHost + "_PULL"
)

// trialName is the workspace that the trial image's repository is named by.
const trialName = "kiln-doctor"

// reach asks the registry for pushes whether it is one.
func (e *examination) reach(ctx context.Context) []Finding {
	if e.settings == nil || e.operator == nil {
		return skip("settings has a fault: no registry is known")
	}
	roots, err := e.roots(ctx)
	if err != nil {
		return fail("KILN_CA_FILE: "+err.Error(), "mount the ConfigMap with the certificate authorities (registry.caConfigMap of the chart), in PEM form")
	}
	how := registry.TransportConfig{Roots: roots, PlainLogin: e.operator.PlainLogin}
	if names := e.names(); names != nil {
		how.Dial = names.DialContext
	}
	e.registry = registry.NewClient(registry.ClientConfig{
		Push: e.keychain(), Pull: e.pullKeychain(), Mirrors: e.operator.Mirrors, Insecure: e.operator.Insecure, PlainLogin: e.operator.PlainLogin,
		Transport: registry.NewTransport(how),
	})
	e.trial.push, e.trial.pull = e.operator.Names.Image(trialName, registry.RandomTag())
	host := registryOf(e.trial.push)
	date, trip, err := e.registry.Reach(ctx, e.trial.push)
	if err != nil {
		return e.unreachable(host, err)
	}
	e.reached = true
	if !date.IsZero() {
		e.clock = clockReading{Says: date, At: time.Now().Add(-trip)}
	}
	return ok(host + " answers")
}

// names are how the daemon looks hosts up, where it has begun to: its logins go
// nowhere else from here.
func (e *examination) names() *resolver.Resolver {
	if !e.inSidecar() {
		return nil
	}
	names, err := resolver.Kept(e.settings.State)
	if err != nil {
		return nil // the daemon says that itself
	}
	return names
}

// roots are the certificate authorities that registries are trusted by.
func (e *examination) roots(ctx context.Context) (*x509.CertPool, error) {
	if e.inSidecar() {
		return registry.Roots(e.settings.CAFile)
	}
	pool, err := registry.Roots("")
	if err != nil || e.settings.CAConfigMap == "" {
		return pool, err
	}
	data, trouble := e.configMap(ctx, e.settings.CAConfigMap)
	if len(trouble) > 0 {
		return nil, errors.New(trouble[0].Seen)
	}
	if !pool.AppendCertsFromPEM([]byte(data["ca.crt"])) {
		return nil, fmt.Errorf("the key ca.crt of the ConfigMap %s has no certificate in PEM form", e.settings.CAConfigMap)
	}
	return pool, nil
}

// unreachable says why the registry does not answer.
func (e *examination) unreachable(host string, err error) []Finding {
	_, plainRefused := errors.AsType[*registry.SettingsError](err)
	var mend string
	switch {
	case registry.Plain(err) || plainRefused:
		mend = "give the registry a certificate, or name it in KILN_INSECURE_REGISTRIES"
	case registry.Untrusted(err):
		mend = "put the certificate authority of " + host + " into the key ca.crt of a ConfigMap and set registry.caConfigMap of the chart to its name"
	case registry.Unnamed(err):
		mend = "correct " + envRegistryHost + ": nobody has the name " + host
	default:
		mend = "correct " + envRegistryHost + ", or let the runner pods reach " + host + " (network policies, proxy variables of the kiln container)"
	}
	lookup, _ := errors.AsType[*registry.LookupError](err)
	if !e.inSidecar() && lookup != nil && lookup.Kind == registry.Unreachable && !registry.Plain(err) && !plainRefused && !registry.Untrusted(err) {
		return warn("this machine does not reach "+host+", which says nothing of the cluster: "+cause(err), e.onlyInside())
	}
	if lookup != nil && lookup.Kind == registry.Malformed || lookup != nil && lookup.Kind == registry.NotFound {
		mend = "correct " + envRegistryHost + ": what answers at " + host + " is no image registry"
	}
	return fail(host+" does not answer as a registry: "+cause(err), mend)
}

// cause is the error of a look-up without what was looked up.
func cause(err error) string {
	if lookup, ok := errors.AsType[*registry.LookupError](err); ok {
		return lookup.Err.Error()
	}
	return err.Error()
}

func registryOf(reference string) string {
	host, _, _ := strings.Cut(reference, "/")
	return host
}

func repositoryOf(reference string) string { return reference[:strings.LastIndexByte(reference, ':')] }

// login logs in as the gate of a build pod does.
func (e *examination) login(ctx context.Context) []Finding {
	if !e.reached {
		return skip("this machine does not reach the registry")
	}
	if id := e.settings.CloudIdentity(); id.Set() && !e.inSidecar() {
		return skip("only the kiln container has the identity of " + id.Cloud + ": run doctor there")
	}
	if !e.inSidecar() && e.settings.RegistrySecret != "" && e.credentials == nil {
		return skip("the Secret " + e.settings.RegistrySecret + " could not be read")
	}
	err := e.registry.Login(ctx, e.trial.push)
	host := registryOf(e.trial.push)
	lookup, _ := errors.AsType[*registry.LookupError](err)
	switch {
	case err == nil:
		return ok(host + " takes the login")
	case errors.Is(err, registry.ErrAnonymous):
		return fail(host+" asks for credentials, and there are none for it", "create the Secret of "+envRegistrySecret+" with credentials for "+host+", and mount it as the overlay does")
	case lookup != nil && lookup.Kind == registry.Denied:
		return fail(host+" refuses the credentials: "+cause(err), "log in anew (docker login "+host+") and create the Secret of "+envRegistrySecret+" anew from the file")
	}
	return fail("the login fails: "+cause(err), "look at the registry's log, and at its token server where it has one")
}

// push pushes a tiny image under a random tag.
func (e *examination) push(ctx context.Context) []Finding {
	image, err := trialImage(e.arch, e.trial.push)
	if err != nil {
		return fail(err.Error(), "report it")
	}
	digest, err := image.Digest()
	if err != nil {
		return fail(err.Error(), "report it")
	}
	// What may have arrived is deleted, whatever the answer was.
	e.trial.digest = digest.String()
	repository := repositoryOf(e.trial.push)
	err = e.registry.Write(ctx, e.trial.push, image)
	lookup, _ := errors.AsType[*registry.LookupError](err)
	switch {
	case err == nil:
		e.trial.pushed = true
		return ok(e.trial.push)
	case lookup != nil && lookup.Kind == registry.Denied:
		return fail("the push of "+e.trial.push+" is refused: "+cause(err), "let the user of the Secret push to "+repository+"; a registry that creates no repositories on push wants them made, or one for all by KILN_IMAGE_NAME")
	case lookup != nil && lookup.Kind == registry.NotFound:
		return fail("there is no repository "+repository+": "+cause(err), "create it, or set KILN_IMAGE_NAME to one repository for all images: this registry does not create them on push")
	}
	return fail("the push of "+e.trial.push+" fails: "+cause(err), "look at the registry's log")
}

// cleanup deletes what was pushed, or may have been: an answer can be lost.
func (e *examination) cleanup(ctx context.Context) []Finding {
	if e.trial.digest == "" {
		return skip("nothing was pushed")
	}
	err := e.registry.Delete(ctx, repositoryOf(e.trial.push)+"@"+e.trial.digest)
	switch {
	case err != nil && !e.trial.pushed:
		return skip("nothing was pushed")
	case err != nil:
		return ok("the registry does not delete; it keeps " + e.trial.push + ", an image of 3 KiB")
	}
	return ok("the image is deleted")
}

// trialImage is an image that no registry has: one layer with one small file, a
// program that ends at once.
func trialImage(arch, unique string) (v1.Image, error) {
	file, err := program(arch, unique)
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	err = archive.WriteHeader(&tar.Header{Name: trialName, Typeflag: tar.TypeReg, Mode: 0o555, Size: int64(len(file))})
	if err == nil {
		_, err = archive.Write(file)
	}
	if err = errors.Join(err, archive.Close()); err != nil {
		return nil, fmt.Errorf("pack the trial image: %w", err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(base, static.NewLayer(layer.Bytes(), types.OCIUncompressedLayer))
	if err != nil {
		return nil, fmt.Errorf("make the trial image: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("make the trial image: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", arch, v1.Time{Time: time.Now()}
	config.Config.Cmd = []string{"/" + trialName}
	return mutate.ConfigFile(image, config)
}

// byDigest names the trial image as nodes pull it.
func (e *examination) byDigest() string { return repositoryOf(e.trial.pull) + "@" + e.trial.digest }
