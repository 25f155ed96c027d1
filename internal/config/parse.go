package config

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Variables of the kiln container besides the settings.
const (
	envLogLevel = "KILN_LOG_LEVEL"
	envImage    = "KILN_IMAGE" // for kilnd build
)

// line is what `kilnd run` takes.
type line struct {
	Settings unchecked `embed:""`
	LogLevel string
}

// unchecked are settings without Validate, which kong would call.
type unchecked Settings

// parser reads settings from arguments alone, whatever the environment of this
// process is, and knows which variable stands for which flag.
type parser struct {
	kong  *kong.Kong
	line  *line
	flags map[string]*kong.Flag // by variable
}

func newParser() (*parser, error) {
	p := &parser{line: new(line), flags: map[string]*kong.Flag{}}
	var err error
	p.kong, err = kong.New(p.line, kong.Name("kilnd run"), kong.Vars{"kaniko_image": KanikoImage}, Decimal(),
		kong.NoDefaultHelp(), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
	if err != nil {
		return nil, fmt.Errorf("read the settings' tags: %w", err)
	}
	for _, flag := range p.kong.Model.Flags {
		for _, variable := range flag.Envs {
			p.flags[variable] = flag
		}
		flag.Envs, flag.Tag.Envs = nil, nil
	}
	return p, nil
}

// Parse reads settings as `kilnd run` does, from the variables of env and the
// flags in args, which win. A value that cannot be read leaves the default, and
// is one of the errors: each names the variable, the value and what to write.
func Parse(env map[string]string, args []string) (*Settings, []error) {
	var errs []error
	var sound []string
	for _, variable := range slices.Sorted(maps.Keys(env)) {
		arg, err := parseOne(variable, env[variable])
		switch {
		case err != nil:
			errs = append(errs, err)
		case arg != "":
			sound = append(sound, arg)
		}
	}
	p, err := newParser()
	if err != nil {
		return &Settings{}, append(errs, err)
	}
	if _, err := p.kong.Parse(append(slices.Clone(sound), args...)); err != nil {
		errs = append(errs, fmt.Errorf("the arguments of the kiln container cannot be read: %w: `kilnd run --help` lists them", err))
		if p, err = newParser(); err == nil {
			_, err = p.kong.Parse(sound)
		}
		if err != nil {
			return &Settings{}, append(errs, err)
		}
	}
	return new(Settings(p.line.Settings)), errs
}

// parseOne returns a variable as an argument; none for one that is no setting.
func parseOne(variable, value string) (string, error) {
	p, err := newParser()
	if err != nil {
		return "", err
	}
	flag, known := p.flags[variable]
	if !known {
		return "", nil
	}
	arg := "--" + flag.Name + "=" + value
	if _, err := p.kong.Parse([]string{arg}); err != nil {
		example := flag.Default
		if example == "" {
			example = "the README's table of settings says"
		}
		return "", fmt.Errorf("%s is %q, which cannot be read as a %s: write it as %s", variable, value, flag.Target.Type().String(), example)
	}
	return arg, nil
}

// runnerVariables are those of the runner container, which have no effect in the
// kiln container.
var runnerVariables = []string{"ACTIONS_RUNNER_CONTAINER_HOOKS", "KILN_DAEMON_GRACE", "KILN_DELEGATE", "KILN_EXTERNALS", "KILN_HANDLE"}

// Unknown returns an error for each variable of env that looks like a setting of
// kiln and is none: what was meant by it is not set. Variables that Kubernetes
// makes of Services are passed over.
func Unknown(env map[string]string) []error {
	p, err := newParser()
	if err != nil {
		return []error{err}
	}
	var errs []error
	for _, variable := range slices.Sorted(maps.Keys(env)) {
		ours := strings.HasPrefix(variable, "KILN_") || strings.HasPrefix(variable, "ACTIONS_RUNNER_CONTAINER_HOOK")
		switch {
		case !ours || p.flags[variable] != nil || variable == envLogLevel || variable == envImage || ofService(variable, env):
		case slices.Contains(runnerVariables, variable):
			errs = append(errs, fmt.Errorf("%s is set on the kiln container, where it has no effect: set it on the runner container", variable))
		default:
			errs = append(errs, fmt.Errorf("%s is no setting of kiln: write %s", variable, nearest(variable, slices.Sorted(maps.Keys(p.flags)))))
		}
	}
	return errs
}

// ofService reports whether a variable is one that Kubernetes makes of a Service
// (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
func ofService(variable string, env map[string]string) bool {
	for _, mark := range []string{"_SERVICE_HOST", "_SERVICE_PORT", "_PORT"} {
		service, _, found := strings.Cut(variable, mark)
		if _, made := env[service+"_SERVICE_HOST"]; found && made {
			return true
		}
	}
	return false
}

// nearest returns the name that takes the fewest changes of a letter.
func nearest(name string, known []string) string {
	return slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

// distance is how many letters have to be put in, taken out or replaced to make
// b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := before
			if a[i] != b[j] {
				replaced++
			}
			before = row[j+1]
			row[j+1] = min(replaced, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}
