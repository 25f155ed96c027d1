package createoptions

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Outside is what options take from the runner container: contents of files by
// the path of --env-file, and values of variables that --env names alone.
type Outside struct {
	Files map[string]string
	Env   map[string]string
}

// Parse reads options. Every error begins with "options:" and names the option.
func Parse(line string, outside Outside) (Options, error) {
	p := &parser{outside: outside}
	if err := p.parse(line); err != nil {
		return Options{}, err
	}
	if err := p.finish(); err != nil {
		return Options{}, err
	}
	return p.out, nil
}

// Outer returns what [Parse] will want of the runner container: the paths of
// --env-file as written, and the names of variables without a value. Options
// that Parse refuses may want nothing.
func Outer(line string) (files, variables []string) {
	p := &parser{}
	if p.parse(line) != nil {
		return nil, nil
	}
	for _, entry := range p.env {
		if !strings.Contains(entry, "=") {
			variables = append(variables, entry)
		}
	}
	return p.envFiles, variables
}

// parser holds what is known when all options have been read.
type parser struct {
	outside       Outside
	out           Options
	env, envFiles []string
	tunes         []string
	quota, period int64
}

func (p *parser) parse(line string) error {
	args, err := words(line)
	if err != nil {
		return err
	}
	flags := pflag.NewFlagSet("options", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.SetInterspersed(false)
	for _, o := range table() {
		f := flags.VarPF(&flagValue{option: o, parser: p}, o.name, o.short, "")
		if o.toggle {
			f.NoOptDefVal = "true"
		}
	}
	if err := flags.Parse(args); err != nil {
		return explain(err)
	}
	if rest := flags.Args(); len(rest) > 0 {
		return fmt.Errorf("options: %q is not an option; a value with spaces needs double quotes around it", rest[0])
	}
	return nil
}

// explain turns an error of the flag library into one for the author.
func explain(err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &invalid):
		return invalid.Unwrap()
	case errors.As(err, &missing):
		return fmt.Errorf("options: --%s has no value", missing.GetFlag().Name)
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return fmt.Errorf("options: -%s is no option of docker create", unknown.GetSpecifiedName()[:1])
	case errors.As(err, &unknown):
		return fmt.Errorf("options: --%s is no option of docker create", unknown.GetSpecifiedName())
	case errors.Is(err, pflag.ErrHelp):
		return errors.New("options: --help is for a terminal; take it out")
	}
	return fmt.Errorf("options: %w", err)
}

// flagValue gives each occurrence of an option to its reader.
type flagValue struct {
	option option
	parser *parser
}

// String implements pflag.Value; there is no value to show.
func (*flagValue) String() string { return "" }

// Type is what the library asks for its usage text, which nobody sees.
func (*flagValue) Type() string { return "" }

// Set reads one occurrence.
func (v *flagValue) Set(value string) error {
	if v.option.toggle {
		on, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("options: --%s is on or off, and %q is neither", v.option.name, value)
		}
		value = strconv.FormatBool(on)
	}
	if err := v.option.read(v.parser, value); err != nil {
		return fmt.Errorf("options: --%s %w", v.option.name, err)
	}
	return nil
}

// finish checks what options say together, and fills in what the runner
// container gives.
func (p *parser) finish() error {
	h := p.out.Health
	if h.Disabled && h != (Health{Disabled: true}) {
		return errors.New("options: --no-healthcheck contradicts --health-*; take one of them out")
	}
	if p.quota > 0 && p.out.CPUMillis == 0 {
		p.out.CPUMillis = p.quota * 1000 / max(p.period, 1)
		if p.period == 0 {
			p.out.CPUMillis = p.quota / 100
		}
	}
	p.out.Warning = tuning(p.tunes)
	return p.variables()
}

// tuning is the one line about options that have no effect.
func tuning(names []string) string {
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "options: " + strings.Join(slices.Compact(names), ", ") + ": no effect on Kubernetes"
}

const maxVariables = 5_000

// variables puts --env over --env-file.
func (p *parser) variables() error {
	env := map[string]string{}
	for _, path := range p.envFiles {
		content, ok := p.outside.Files[path]
		if !ok {
			return fmt.Errorf("options: --env-file %s: no such file in the runner container", path)
		}
		for line := range strings.Lines(content) {
			if err := p.fileLine(env, path, line); err != nil {
				return err
			}
		}
	}
	for _, entry := range p.env {
		p.variable(env, entry)
	}
	if len(env) > maxVariables {
		return fmt.Errorf("options: %d variables are more than the %d that a container can have", len(env), maxVariables)
	}
	p.out.Env = nil
	if len(env) > 0 {
		p.out.Env = maps.Clone(env)
	}
	return nil
}

// fileLine reads one line of a file by Docker's rules (docker/cli,
// pkg/kvfile): white space before it and comments do not count, what stands
// behind = is taken as it is.
func (p *parser) fileLine(env map[string]string, path, line string) error {
	line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
	if line == "" || line[0] == '#' {
		return nil
	}
	name, _, _ := strings.Cut(line, "=")
	if name == "" || strings.ContainsAny(name, " \t") || strings.IndexByte(line, 0) >= 0 {
		return fmt.Errorf("options: --env-file %s: a line has no proper name of a variable before its =", path)
	}
	if len(env) <= maxVariables {
		p.variable(env, line)
	}
	return nil
}

// variable sets one; without = it is the runner container's, or unset.
func (p *parser) variable(env map[string]string, entry string) {
	name, value, ok := strings.Cut(entry, "=")
	if !ok {
		if value, ok = p.outside.Env[name]; !ok {
			delete(env, name)
			return
		}
	}
	env[name] = value
}
