package kaniko

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"kiln/internal/buildcontext"
	"kiln/internal/buildkey"
	"kiln/internal/preflight"
	"kiln/internal/registry"
)

// gateAddress is where the gate listens in the build pod.
const gateAddress = "127.0.0.1:5001"

// contextPath is where the executor unpacks what it gets on its standard input
// (BuildContextDir in pkg/config/init.go): the context in a directory of its own,
// the Dockerfile beside it.
const contextPath = "/kaniko/buildcontext"

// executorArgs returns the executor's flags. All of its registry traffic goes
// to the gate, under a path that names the real registry.
func executorArgs(b Build) ([]string, error) {
	target, err := name.NewTag(b.Push, name.StrictValidation)
	if err != nil {
		return nil, fmt.Errorf("push reference %q: %w", b.Push, err)
	}
	destination, err := registry.Element(target.RegistryStr())
	if err != nil {
		return nil, err
	}
	args := []string{
		"--context=tar://stdin",
		"--context-sub-path=" + buildcontext.Dir,
		"--dockerfile=" + contextPath + "/" + preflight.SentDockerfile,
		"--destination=" + gateAddress + "/" + destination + "/" + target.RepositoryStr() + ":" + target.TagStr(),
	}
	if len(b.Triggers) > 0 {
		args = append(args, "--label="+buildkey.TriggersLabel+"="+strings.Join(b.Triggers, ","))
	}
	maps, err := registryMaps(b)
	if err != nil {
		return nil, err
	}
	args = append(args, maps...)
	args = append(args,
		"--skip-default-registry-fallback",
		"--skip-push-permission-check",     // a second round trip for what the push says anyway
		"--insecure-registry="+gateAddress, // plain HTTP to the gate alone
	)
	args = append(args, resultArgs(b)...)
	return append(args, b.Proxy.withoutCredentials().buildArgs()...), nil
}

// resultArgs are the flags that say how an image is built, not where things
// come from and go to.
func resultArgs(b Build) []string {
	args := []string{
		"--cache=false",
		"--compressed-caching=false", // else whole layers are held in memory
		"--snapshot-mode=" + b.SnapshotMode,
		// Docker keeps what a RUN writes there. The executor skips it by
		// default for the sake of mounts, of which a build pod has none.
		"--ignore-var-run=false",
		"--custom-platform=linux/" + b.Arch,
		"--log-format=json",
		"--force", // detection of a container differs between runtimes
	}
	return append(args, platformArgs(b)...)
}

// ResultFlags returns the arguments and feature switches of the executor that
// change what it builds; they follow from the flavor, the snapshot mode, the
// platform, whether stages are unused and [Build.OwnArgs]. The way to registries and proxies is
// not among them.
func ResultFlags(b Build) []string {
	flags := resultArgs(b)
	for _, feature := range switches(b.Flavor) {
		flags = append(flags, feature.Name+"="+feature.Value)
	}
	return flags
}

// registryMaps sends every registry that the Dockerfile names to the gate.
func registryMaps(b Build) ([]string, error) {
	var names []string
	for _, image := range b.Pulls {
		ref, err := name.ParseReference(image)
		if err != nil {
			return nil, fmt.Errorf("pull reference %q: %w", image, err)
		}
		names = append(names, ref.Context().RegistryStr())
	}
	slices.Sort(names)
	var args []string
	for _, host := range slices.Compact(names) {
		element, err := registry.Element(host)
		if err != nil {
			return nil, err
		}
		args = append(args, "--registry-map="+host+"="+gateAddress+"/"+element)
	}
	return args, nil
}

// platformArgs are the build arguments that BuildKit sets by itself (Dockerfile
// reference, "Automatic platform ARGs in the global scope"); chainguard leaves
// them empty, and the other fork takes them as they are. Those that the Dockerfile
// gives values of its own are left to it: an argument would win.
func platformArgs(b Build) []string {
	var args []string
	for _, side := range []string{"BUILD", "TARGET"} {
		for _, variable := range [][2]string{{"PLATFORM", "linux/" + b.Arch}, {"OS", "linux"}, {"ARCH", b.Arch}} {
			if name := side + variable[0]; !slices.Contains(b.OwnArgs, name) {
				args = append(args, "--build-arg="+name+"="+variable[1])
			}
		}
	}
	return args
}

// gateArgs returns the flags of kilnd gate.
func gateArgs(b Build) []string {
	args := []string{"gate", "--listen=" + gateAddress, "--push=" + b.Push}
	for _, image := range b.Pulls {
		args = append(args, "--pull="+image)
	}
	for _, what := range b.Inspect {
		args = append(args, "--inspect="+what)
	}
	if b.Index {
		args = append(args, "--index")
	}
	for _, digest := range b.IndexPulled {
		args = append(args, "--index-pulled="+digest)
	}
	for _, pair := range b.Mirrors.Pairs() {
		args = append(args, "--mirror="+pair)
	}
	for _, host := range b.Insecure {
		args = append(args, "--insecure="+host)
	}
	for _, host := range b.PlainLogin {
		args = append(args, "--plain-login="+host)
	}
	for _, pattern := range b.PullAllow {
		args = append(args, "--pull-allow="+pattern)
	}
	for _, file := range gateFiles(b) {
		args = append(args, "--"+file.flag+"="+file.path())
	}
	return append(args, identityArgs(b)...)
}
