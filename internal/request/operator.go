package request

import (
	"errors"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"

	"kiln/internal/cloudlogin"
	"kiln/internal/config"
	"kiln/internal/executor"
	"kiln/internal/extension"
	"kiln/internal/kaniko"
	"kiln/internal/metrics"
	"kiln/internal/podoptions"
	"kiln/internal/registry"
	"kiln/internal/resolver"
)

// Operator is what the operator has set, parsed, read and made whole.
type Operator struct {
	Settings *config.Settings
	// Flavor is which Kaniko builds.
	Flavor executor.Flavor
	// Names says how images are called.
	Names registry.Names
	// Mirrors, Insecure and PlainLogin are about registries.
	Mirrors    registry.Mirrors
	Insecure   []string
	PlainLogin registry.PlainLogins
	// Allow are the repositories that credentials are used for in pulls.
	Allow registry.Allow
	// Proxy is how builds reach other hosts.
	Proxy kaniko.Proxy
	// ActionTemplate and BuildTemplate are the operator's, or nil.
	ActionTemplate *extension.Template
	BuildTemplate  *kaniko.Template
	// Policy is what the containers of a job may ask for.
	Policy podoptions.Policy
	// Registry looks images up.
	Registry *registry.Client
}

// Network is how registries are reached.
type Network struct {
	// Hosts looks their hosts up; nil goes by the files of the system.
	Hosts *resolver.Resolver
	// Proxy is how builds reach other hosts.
	Proxy kaniko.Proxy
	// Metrics counts what is asked; nil counts nothing.
	Metrics *metrics.Metrics
}

// Parse makes use of the settings. The error names every setting to mend.
func Parse(settings *config.Settings, network Network) (Operator, error) {
	o := Operator{Settings: settings, Proxy: network.Proxy}
	err := errors.Join(o.parse(network), o.readTemplates(), o.Proxy.Validate(), o.PlainLogin.CheckProxies(o.Proxy.HTTP, o.Proxy.HTTPS))
	return o, err
}

// parse fills in the flavor, names, mirrors and the registry client.
func (o *Operator) parse(network Network) error {
	var errs [8]error
	o.Flavor, errs[6] = o.Settings.Flavor()
	o.Names, errs[0] = o.Settings.Names()
	o.Mirrors, errs[1] = registry.ParseMirrors(o.Settings.Mirrors)
	o.Insecure, errs[2] = registry.ParseInsecure(o.Settings.Insecure)
	o.PlainLogin, errs[3] = registry.ParsePlainLogins(o.Settings.PlainLogin)
	o.Allow, errs[4] = registry.ParseAllow(o.Settings.PullAllow)
	o.Policy, errs[7] = podoptions.ParsePolicy(o.Settings.JobRights, o.Settings.GPU)
	if errors.Join(errs[:]...) == nil {
		o.Registry, errs[5] = o.registryClient(network)
	}
	return errors.Join(errs[:]...)
}

// registryClient returns the client that asks registries with the operator's
// credentials, as the gates of build pods do.
func (o *Operator) registryClient(network Network) (*registry.Client, error) {
	roots, err := registry.Roots(o.Settings.CAFile)
	if err != nil {
		return nil, fmt.Errorf("KILN_CA_FILE: %w", err)
	}
	how := registry.TransportConfig{Roots: roots, PlainLogin: o.PlainLogin}
	if network.Hosts != nil {
		how.Dial = network.Hosts.DialContext
	}
	own, err := registry.ParseAllow([]string{o.Names.PushRegistry()})
	if err != nil {
		return nil, err
	}
	push, pull := keychains(o.Settings)
	return registry.NewClient(registry.ClientConfig{
		Push:     registry.Restrict(push, own),
		Pull:     registry.Restrict(pull, o.Allow),
		Mirrors:  o.Mirrors,
		Insecure: o.Insecure,

		PlainLogin: o.PlainLogin,
		Transport:  network.Metrics.RegistryTransport(registry.NewTransport(how)),
	}), nil
}

// keychains returns who pushes and who pulls, as the gates of build pods do. A
// shell has no token of an identity.
func keychains(settings *config.Settings) (push, pull authn.Keychain) {
	push = registry.FileKeychain(settings.DockerConfig)
	if id := settings.CloudIdentity(); id.TokenFile != "" {
		push = cloudlogin.Keychain(id, cloudlogin.Run(cloudlogin.Beside(), os.Getenv), push)
	}
	if file := settings.PullCredentials(); file != settings.DockerConfig {
		return push, registry.FileKeychain(file)
	}
	return push, push
}

// readTemplates reads the operator's pod templates.
func (o *Operator) readTemplates() error {
	var errs [2]error
	o.ActionTemplate, errs[0] = readTemplate("ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE", o.Settings.ActionTemplate, extension.Parse)
	o.BuildTemplate, errs[1] = readTemplate("KILN_BUILD_TEMPLATE", o.Settings.BuildTemplate, kaniko.ParseTemplate)
	return errors.Join(errs[:]...)
}

// readTemplate reads and parses the file that the setting called name has as
// its value; without one there is no template.
func readTemplate[T any](name, path string, parse func([]byte) (*T, error)) (*T, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: mount the file in the kiln container", name, err)
	}
	template, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", name, path, err)
	}
	return template, nil
}
