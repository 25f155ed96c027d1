package gate

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"kiln/internal/cloudlogin"
	"kiln/internal/registry"
	"kiln/internal/resolver"
	"kiln/internal/treestore"
)

// Config says what one build may do. The fields are the flags of "kilnd gate".
type Config struct {
	// Push is where the build's manifest goes: registry, repository and tag.
	Push string
	// Pull are the images that may be pulled, as a Dockerfile names them. One
	// with a tag and a digest, "alpine:3.20@sha256:...", may be pulled by that
	// tag, which is answered with exactly that digest.
	Pull []string
	// Inspect are the images whose layers are looked through on their way.
	Inspect []Inspection
	// Index has the indexes of the layers that the build uploads kept beside them,
	// as package treestore does.
	Index bool
	// IndexPulled are the digests of layers that get an index too where they are pulled.
	IndexPulled []string
	// IndexWait is how long the report of the build's manifest waits for those that
	// are being kept; 0 means two seconds.
	IndexWait time.Duration
	// Mirrors are asked first for the registries they stand for.
	Mirrors registry.Mirrors
	// Insecure are the registries that may be spoken to by plain HTTP.
	Insecure []string
	// PlainLogin are the hosts that a login may be sent to without TLS.
	PlainLogin []string
	// DockerConfig is the file with the credentials; see registry.FileKeychain.
	// PullDockerConfig is the one that is used for pulls instead, if not empty.
	DockerConfig     string
	PullDockerConfig string
	// Identity takes the place of DockerConfig's login for the registry that it
	// names, and Exchange gets it; see cloudlogin.Keychain.
	Identity cloudlogin.Identity
	Exchange cloudlogin.Exchange
	// PullAllow are the repositories for which credentials are used in pulls;
	// all others are pulled anonymously.
	PullAllow registry.Allow
	// CAFile has certificate authorities besides the system's, or is empty.
	CAFile string
	// Names looks hosts up; nil goes by the files of the system, which others
	// in the pod can write.
	Names *resolver.Resolver
	// Log receives the lines of the package's log protocol.
	Log io.Writer
	// Transport carries all requests; nil means one with kiln's own limits.
	Transport http.RoundTripper
	// ManifestTime is how long a manifest may take on its way, from a registry or
	// from the client; 0 means half a minute.
	ManifestTime time.Duration
	// Retries are the pauses before a registry that cannot be reached, or that
	// is busy, is asked again; nil means one second, three, and nine.
	Retries []time.Duration
}

// repository is one repository that a build may use.
type repository struct {
	// path names it in requests: <registry element>/<repository>.
	path string
	// sources hold it, in the order in which they are asked; the last one is
	// the registry that the Dockerfile named.
	sources []name.Repository
	// tags may be pulled besides digests. The value is the digest that a tag is
	// answered with, or "" for the one that the registry gives it.
	tags map[string]string
	// inspector looks through its layers, nil for none.
	inspector *inspector
}

// policy is Config, parsed.
type policy struct {
	push     repository
	tag      string
	pulls    map[string]*repository
	insecure []string
	plain    registry.PlainLogins
	// pusher writes, puller reads the images that the Dockerfile names.
	pusher, puller account
	// separate says that the puller has other credentials than the pusher.
	separate bool
}

func newPolicy(config Config) (*policy, error) {
	insecure, err := registry.ParseInsecure(config.Insecure)
	if err != nil {
		return nil, err
	}
	plain, err := registry.ParsePlainLogins(config.PlainLogin)
	if err != nil {
		return nil, err
	}
	p := &policy{
		pulls:    map[string]*repository{},
		insecure: insecure,
		plain:    plain,
		pusher:   account{"push", cloudlogin.Keychain(config.Identity, config.Exchange, registry.FileKeychain(config.DockerConfig))},
		separate: config.PullDockerConfig != "" || len(config.PullAllow) > 0,
	}
	pull := p.pusher.keychain
	if config.PullDockerConfig != "" {
		pull = registry.FileKeychain(config.PullDockerConfig)
	}
	p.puller = account{"pull", registry.Restrict(pull, config.PullAllow)}
	target, err := name.NewTag(config.Push, name.StrictValidation)
	if err != nil {
		return nil, fmt.Errorf("push reference %q: write registry/repository:tag: %w", config.Push, err)
	}
	if p.tag = target.TagStr(); treestore.IsTag(p.tag) {
		return nil, fmt.Errorf("push reference %q: the tag is one of an index of a layer, which no build pushes", config.Push)
	}
	if p.push, err = p.repository(target.Repository, nil); err != nil {
		return nil, fmt.Errorf("push reference %q: %w", config.Push, err)
	}
	for _, image := range config.Pull {
		if err := p.allowPull(image, config.Mirrors); err != nil {
			return nil, fmt.Errorf("pull reference %q: %w", image, err)
		}
	}
	return p, p.inspect(config.Inspect)
}

// indexStore has the indexes of the repository that is pushed to, with the pusher's
// credentials.
func (p *policy) indexStore(base http.RoundTripper) treestore.Store {
	client := registry.NewClient(registry.ClientConfig{Push: p.pusher.keychain, Insecure: p.insecure, PlainLogin: p.plain, Transport: base})
	return treestore.Store{Registry: client, Repository: p.push.origin().Name()}
}

// inspect sets the inspectors of the images that are pulled.
func (p *policy) inspect(all []Inspection) error {
	for _, what := range all {
		repo, _, _, err := splitReference(what.Image)
		if err != nil {
			return fmt.Errorf("inspection of %q: %w", what.Image, err)
		}
		element, err := registry.Element(repo.RegistryStr())
		if err != nil {
			return fmt.Errorf("inspection of %q: %w", what.Image, err)
		}
		pulled, found := p.pulls[element+"/"+repo.RepositoryStr()]
		switch {
		case !found:
			return fmt.Errorf("inspection of %q: no image of this repository is pulled", what.Image)
		case pulled.inspector == nil:
			pulled.inspector = newInspector(what)
		default:
			pulled.inspector.add(what)
		}
	}
	return nil
}

func (p *policy) allowPull(image string, mirrors registry.Mirrors) error {
	repo, tag, digest, err := splitReference(image)
	if err != nil {
		return err
	}
	allowed, err := p.repository(repo, mirrors)
	if err != nil {
		return err
	}
	if known, found := p.pulls[allowed.path]; found {
		allowed = *known
	} else {
		allowed.tags = map[string]string{}
		p.pulls[allowed.path] = &allowed
	}
	if tag == "" {
		return nil
	}
	pin := allowed.tags[tag]
	if pin != "" && digest != "" && pin != digest {
		return fmt.Errorf("its tag is pinned to %s as well", pin)
	}
	allowed.tags[tag] = cmp.Or(digest, pin)
	return nil
}

// splitReference returns the parts of an image reference. Without a digest the
// tag is "latest" if none is given; with one it may be missing.
func splitReference(image string) (repo name.Repository, tag, digest string, err error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return name.Repository{}, "", "", err
	}
	tagged, _, pinned := strings.Cut(image, "@")
	if pinned {
		digest = ref.Identifier()
	}
	if pinned && strings.LastIndexByte(tagged, ':') <= strings.LastIndexByte(tagged, '/') {
		return ref.Context(), "", digest, nil
	}
	named, err := name.NewTag(tagged)
	if err != nil {
		return name.Repository{}, "", "", err
	}
	return named.Repository, named.TagStr(), digest, nil
}

func (p *policy) repository(repo name.Repository, mirrors registry.Mirrors) (repository, error) {
	element, err := registry.Element(repo.RegistryStr())
	if err != nil {
		return repository{}, err
	}
	known := repository{path: element + "/" + repo.RepositoryStr()}
	if mirrored, found := mirrors.Repository(repo); found {
		known.sources = append(known.sources, p.withScheme(mirrored))
	}
	known.sources = append(known.sources, p.withScheme(repo))
	return known, nil
}

// withScheme marks the registries that may be spoken to by plain HTTP.
func (p *policy) withScheme(repo name.Repository) name.Repository {
	if !slices.Contains(p.insecure, repo.RegistryStr()) {
		return repo
	}
	if reg, err := name.NewRegistry(repo.RegistryStr(), name.Insecure); err == nil {
		repo.Registry = reg
	}
	return repo
}

// origin is the registry that the repository was named by.
func (r *repository) origin() name.Repository { return r.sources[len(r.sources)-1] }
