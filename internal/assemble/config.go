package assemble

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/internal/buildcontext"
	"kiln/internal/split"
)

// config is the configuration of an image that is assembled.
type config struct {
	image dockerspec.DockerOCIImage
	// bare is whether the rest is put on a base image, for which nothing was run; then the
	// last comment says that it is the image of that name.
	bare bool
	name string
	// cmd is whether the stage has set CMD.
	cmd     bool
	created *time.Time
	// texts is what the history takes, in bytes.
	texts int
	// last is the entry of the history that stands for the layer, -1 for none.
	last int
}

// newConfig is the configuration where the rest begins.
func newConfig(in Input) (*config, error) {
	c := &config{bare: in.Plan.Dockerfile == nil, name: in.Name, cmd: in.Plan.CmdSet, last: -1}
	if len(in.Config) == 0 {
		c.image.OS, c.image.Architecture = runtime.GOOS, runtime.GOARCH
		c.image.RootFS.Type = "layers"
		c.image.Config.WorkingDir = "/"
	} else if err := json.Unmarshal(in.Config, &c.image); err != nil {
		return nil, fmt.Errorf("the configuration of the base part's image: %w", err)
	}
	config := &c.image.Config
	if dir := config.WorkingDir; dir != "" && !path.IsAbs(dir) {
		return nil, errors.New("the working directory of the base part's image is a relative path")
	}
	if c.bare {
		config.OnBuild = nil // the rest has them
	}
	if !slices.ContainsFunc(config.Env, func(entry string) bool { return strings.HasPrefix(entry, "PATH=") || entry == "PATH" }) {
		config.Env = append(config.Env, "PATH="+split.DefaultPath)
	}
	if !slices.Equal(config.Env, in.Plan.Env) {
		return nil, errors.New("the environment of the base part's image is not what its Dockerfile makes")
	}
	if c.created = c.image.Created; c.created == nil {
		fixed := buildcontext.Time().UTC()
		c.created = &fixed
	}
	c.image.Created = c.created
	return c, nil
}

// workdir is the directory that relative paths begin in.
func (c *config) workdir() string { return path.Clean("/" + c.image.Config.WorkingDir) }

// maxTexts bounds the history, in bytes, in which all values are that the rest sets.
const maxTexts = 4 << 20

// within reports whether the bounds hold.
func (c *config) within() error {
	if c.texts > maxTexts {
		return errors.New("its instructions are too long")
	}
	return nil
}

// enter sets the working directory, and returns it as it is stored.
func (c *config) enter(dir string) (string, error) {
	switch {
	case dir == "":
		dir = c.workdir()
	case !path.IsAbs(dir):
		dir = path.Join(c.workdir(), dir)
	}
	if len(dir) > maxPath {
		return "", errLong
	}
	c.image.Config.WorkingDir = dir
	return dir, nil
}

// stage is the beginning of a stage that is built from the one before.
func (c *config) stage() {
	c.image.Config.OnBuild = nil
	c.cmd = false
}

// comment is what BuildKit writes beside an entry of the history.
const comment = "buildkit.dockerfile.v0"

// NothingRun is the comment of the last entry where the image of a name is a base image with
// what follows it, so that it comes out the same whenever it is made. No instruction of a
// Dockerfile writes a comment; a base may bring one along, with another name.
func NothingRun(name string) string { return comment + "; nothing was run for " + name }

// history adds an entry. All but one of those that change the tree are empty in the
// end, for there is one layer.
func (c *config) history(text string, changes bool) {
	if c.texts += len(text); changes {
		c.last = len(c.image.History)
	}
	c.image.History = append(c.image.History, ocispec.History{
		Created: c.created, CreatedBy: text, Comment: comment, EmptyLayer: true,
	})
}

// copied adds the entry of a COPY or ADD.
func (c *config) copied(name string, of copying) {
	words := []string{name}
	if of.parents {
		words = append(words, "--parents")
	}
	if of.chown != "" {
		words = append(words, "--chown="+of.chown)
	}
	if of.chmod != "" {
		words = append(words, "--chmod="+of.chmod)
	}
	words = append(words, of.SourcePaths...)
	for _, document := range of.SourceContents {
		words = append(words, "<<"+document.Path)
	}
	c.history(strings.Join(append(words, of.DestPath, "#", "buildkit"), " "), true)
}

// label sets labels.
func (c *config) label(labels map[string]string) {
	for name, value := range labels {
		if c.image.Config.Labels == nil {
			c.image.Config.Labels = map[string]string{}
		}
		c.image.Config.Labels[name] = value
	}
}

// set follows an instruction that changes the configuration alone.
func (c *config) set(command instructions.Command, scope *split.Scope) error {
	to := &c.image.Config
	switch command := command.(type) {
	case *instructions.EnvCommand:
		words := []string{"ENV"}
		for _, pair := range command.Env {
			to.Env = split.SetEnv(to.Env, pair.Key, pair.Value)
			words = append(words, pair.String())
		}
		c.history(strings.Join(words, " "), false)
		return scope.Apply(command)
	case *instructions.ArgCommand:
		if err := scope.Apply(command); err != nil {
			return err
		}
		words := []string{"ARG"}
		for _, pair := range command.Args {
			word := pair.Key
			if pair.Value != nil {
				word = pair.String()
			}
			words = append(words, word)
		}
		c.history(strings.Join(words, " "), false)
	case *instructions.LabelCommand:
		words := []string{"LABEL"}
		for _, pair := range command.Labels {
			c.label(map[string]string{pair.Key: pair.Value})
			words = append(words, pair.String())
		}
		c.history(strings.Join(words, " "), false)
	case *instructions.ExposeCommand:
		return c.expose(command, scope)
	case *instructions.VolumeCommand:
		return c.volume(command)
	default:
		return c.start(command)
	}
	return nil
}

// start follows an instruction about how a container starts.
func (c *config) start(command instructions.Command) error {
	to := &c.image.Config
	switch command := command.(type) {
	case *instructions.CmdCommand:
		to.Cmd = c.words(command.ShellDependantCmdLine)
		to.ArgsEscaped = true //nolint:staticcheck // BuildKit sets it
		c.cmd = true
		c.history(fmt.Sprintf("CMD %q", to.Cmd), false)
	case *instructions.EntrypointCommand:
		to.Entrypoint = c.words(command.ShellDependantCmdLine)
		if !c.cmd {
			to.Cmd = nil
		}
		c.history(fmt.Sprintf("ENTRYPOINT %q", to.Entrypoint), false)
	case *instructions.HealthCheckCommand:
		health := dockerspec.HealthcheckConfig{
			Test: command.Health.Test, Interval: command.Health.Interval, Timeout: command.Health.Timeout,
			StartPeriod: command.Health.StartPeriod, StartInterval: command.Health.StartInterval, Retries: command.Health.Retries,
		}
		to.Healthcheck = &health
		c.history(fmt.Sprintf("HEALTHCHECK %+v", health), false)
	case *instructions.UserCommand:
		to.User = command.User
		c.history("USER "+command.User, false)
	case *instructions.StopSignalCommand:
		if !isSignal(command.Signal) {
			return errors.New("a signal that is not known")
		}
		to.StopSignal = command.Signal
		c.history("STOPSIGNAL "+command.Signal, false)
	case *instructions.ShellCommand:
		to.Shell = command.Shell
		c.history(fmt.Sprintf("SHELL %v", command.Shell), false)
	case *instructions.OnbuildCommand:
		to.OnBuild = append(to.OnBuild, command.Expression)
	case *instructions.MaintainerCommand:
		c.image.Author = command.Maintainer
		c.history("MAINTAINER "+command.Maintainer, false)
	default:
		return fmt.Errorf("%s is an instruction that is not known", command.Name())
	}
	return nil
}

// words are those of a CMD or ENTRYPOINT; the shell form has the shell's before them.
func (c *config) words(line instructions.ShellDependantCmdLine) []string {
	if !line.PrependShell {
		return line.CmdLine
	}
	shell := []string{"/bin/sh", "-c"}
	if set := c.image.Config.Shell; len(set) > 0 {
		shell = slices.Clone(set)
	}
	return append(shell, strings.Join(line.CmdLine, " "))
}

// volume follows a VOLUME.
func (c *config) volume(command *instructions.VolumeCommand) error {
	for _, volume := range command.Volumes {
		if volume == "" {
			return errors.New("a volume without a path")
		}
		if c.image.Config.Volumes == nil {
			c.image.Config.Volumes = map[string]struct{}{}
		}
		c.image.Config.Volumes[volume] = struct{}{}
	}
	c.history(fmt.Sprintf("VOLUME %v", command.Volumes), false)
	return nil
}

// isSignal reports whether a signal has a name or number that every system knows.
func isSignal(text string) bool {
	known := []string{
		"ABRT", "ALRM", "BUS", "CHLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "KILL", "PIPE", "PROF", "PWR", "QUIT", "SEGV",
		"STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
	}
	if strings.Trim(text, "0123456789") == "" {
		return strings.Trim(text, "0") != "" && len(text) < 4
	}
	return slices.Contains(known, strings.TrimPrefix(strings.ToUpper(text), "SIG"))
}

// encode writes the configuration with one layer more, none where the ID of its
// content is empty.
func (c *config) encode(diffID string) ([]byte, error) {
	image := c.image
	image.History = slices.Clone(c.image.History)
	if n := len(image.History); n > 0 && c.bare && c.name != "" {
		image.History[n-1].Comment = NothingRun(c.name)
	}
	image.RootFS.DiffIDs = slices.Clone(c.image.RootFS.DiffIDs)
	if diffID != "" {
		if c.last < 0 {
			return nil, errors.New("a layer of which the history knows nothing")
		}
		image.History[c.last].EmptyLayer = false
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, digest.Digest(diffID))
	}
	return json.Marshal(image)
}
