package request

import (
	"errors"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"

	"kiln/internal/action"
	"kiln/internal/cloudlogin"
	"kiln/internal/config"
	"kiln/internal/kaniko"
	"kiln/internal/registry"
)

// Prepare fills in what the handler needs parsed, read and made of its Settings;
// Metrics, Proxy and Hosts must be set before. The error names every setting to mend.
func (h *Handler) Prepare() error {
	return errors.Join(h.parseSettings(), h.readTemplates(), h.Proxy.Validate(), h.PlainLogin.CheckProxies(h.Proxy.HTTP, h.Proxy.HTTPS))
}

// parseSettings fills in names, mirrors and the registry client.
func (h *Handler) parseSettings() error {
	var errs [6]error
	h.Names, errs[0] = h.Settings.Names()
	h.Mirrors, errs[1] = registry.ParseMirrors(h.Settings.Mirrors)
	h.Insecure, errs[2] = registry.ParseInsecure(h.Settings.Insecure)
	h.PlainLogin, errs[3] = registry.ParsePlainLogins(h.Settings.PlainLogin)
	h.Allow, errs[4] = registry.ParseAllow(h.Settings.PullAllow)
	if errors.Join(errs[:]...) == nil {
		h.Registry, errs[5] = h.newRegistryClient()
	}
	return errors.Join(errs[:]...)
}

// newRegistryClient returns the client that asks registries with the operator's
// credentials, as the gates of build pods do.
func (h *Handler) newRegistryClient() (*registry.Client, error) {
	settings := h.Settings
	roots, err := registry.Roots(settings.CAFile)
	if err != nil {
		return nil, fmt.Errorf("KILN_CA_FILE: %w", err)
	}
	how := registry.TransportConfig{Roots: roots, PlainLogin: h.PlainLogin}
	if h.Hosts != nil {
		how.Dial = h.Hosts.DialContext
	}
	own, err := registry.ParseAllow([]string{h.Names.PushRegistry()})
	if err != nil {
		return nil, err
	}
	push, pull := keychains(settings)
	return registry.NewClient(registry.ClientConfig{
		Push:     registry.Restrict(push, own),
		Pull:     registry.Restrict(pull, h.Allow),
		Mirrors:  h.Mirrors,
		Insecure: h.Insecure,

		PlainLogin: h.PlainLogin,
		Transport:  h.Metrics.RegistryTransport(registry.NewTransport(how)),
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
func (h *Handler) readTemplates() error {
	var errs [2]error
	h.ActionTemplate, errs[0] = readTemplate("ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE", h.Settings.ActionTemplate, action.ParseTemplate)
	h.BuildTemplate, errs[1] = readTemplate("KILN_BUILD_TEMPLATE", h.Settings.BuildTemplate, kaniko.ParseTemplate)
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
