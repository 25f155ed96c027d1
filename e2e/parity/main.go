// Command parity builds Dockerfiles with Docker's own builder and with kiln, and
// compares the images. It writes the table of docs/parity.md, or checks that
// the table holds. With another executor than the one that the table is about it
// compares the results with those that stand beside the corpus.
//
// It needs root and runc. Everything runs in namespaces of its own, without a
// network; what it is made of is named by environment variables, which
// "kiln-cluster parts" prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"kiln/e2e/parity/internal/executor"
	"kiln/e2e/parity/internal/sandbox"
	kaniko "kiln/internal/executor"
)

// Exit codes besides 0 and 1.
const (
	exitUsage   = 2
	exitMissing = 3 // the machine cannot run it
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code, err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "parity:", err)
	}
	os.Exit(code)
}

// options are the flags.
type options struct {
	corpus string
	module string
	run    *regexp.Regexp
	fast   bool
	write  string
	check  string
	detail bool
	// unchecked builds what kiln refuses, to see whether it should.
	unchecked bool
	// image is another executor than the one that is built here, flavor says
	// which Kaniko it holds, and record keeps the results as those to expect.
	image  string
	flavor kaniko.Flavor
	record bool
	// some says that only some of the cases are run.
	some bool
	// assembled compares with kiln's assembly on base parts that BuildKit builds,
	// instead of with Kaniko.
	assembled bool
}

// expected is the file of the results that the flavor is known to have. There is
// none for the one that docs/parity.md shows in full.
func (o options) expected() string {
	if o.flavor.Name == kaniko.Chainguard {
		return ""
	}
	return filepath.Join(o.corpus, o.flavor.Name+".txt")
}

func parse() (options, error) {
	var o options
	pattern := flag.String("run", "", "only the cases whose suite/name matches this `regexp`")
	flag.StringVar(&o.corpus, "corpus", "corpus", "`directory` of the cases")
	flag.StringVar(&o.module, "kaniko", "", "`directory` of Kaniko's module, for the Dockerfiles of its tests")
	flag.BoolVar(&o.fast, "fast", false, "leave out the cases that take more than a second or two")
	flag.StringVar(&o.write, "write", "", "write the table into this `file`")
	flag.StringVar(&o.check, "check", "", "fail when a result is not the one in the table of this `file`")
	flag.BoolVar(&o.detail, "v", false, "print every difference and the output of builds that fail")
	flag.BoolVar(&o.unchecked, "unchecked", false, "build what kiln refuses too, to see what would come out")
	flag.StringVar(&o.image, "executor", "", "the `image` of another executor: an OCI layout, an archive, or a reference to pull")
	flag.BoolVar(&o.assembled, "assembled", false, "have BuildKit build the base parts too, and kiln put the rest on top: \"refused\" is then what is not split")
	setting := flag.String("flavor", "", "which Kaniko that is, as in KILN_KANIKO_FLAVOR, where its reference does not tell")
	flag.BoolVar(&o.record, "record", false, "keep the results of another flavor as those to expect of it")
	flag.Parse()
	var err, flavorErr error
	o.run, err = regexp.Compile(*pattern)
	o.flavor, flavorErr = executor.Flavor(o.image, *setting)
	o.some = *pattern != ""
	all := !o.fast && !o.unchecked && !o.assembled
	switch {
	case err != nil:
		return o, fmt.Errorf("--run: %w", err)
	case flavorErr != nil:
		return o, flavorErr
	case flag.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case (o.write != "" || o.record) && !all, o.write != "" && o.some, o.check != "" && o.assembled:
		return o, errors.New("--write and --record need all cases: leave out --fast, --unchecked and --assembled, and --run with --write")
	case o.record && o.expected() == "", o.expected() != "" && (o.write != "" || o.check != ""):
		return o, errors.New("--write and --check are for chainguard, --record is for another flavor")
	}
	return o, nil
}

func run(ctx context.Context) (int, error) {
	o, err := parse()
	if err != nil {
		return exitUsage, err
	}
	if group, inside := sandbox.Inside(); inside {
		return trials(ctx, o, group)
	}
	if missing := sandbox.Missing(); missing != "" {
		return exitMissing, errors.New(missing)
	}
	if o.image == "" {
		return sandbox.Run(ctx)
	}
	return runWith(ctx, o.image)
}

// other is the file of the results of the flavor that docs/parity.md shows in
// short.
func (o options) other() string { return filepath.Join(o.corpus, kaniko.Osscontainertools+".txt") }

// executorPart names the executor's image, inside too.
const executorPart = "KILN_PART_KANIKO"

// runWith runs with another executor. It is fetched outside, where the network is.
func runWith(ctx context.Context, image string) (code int, err error) {
	dir, err := os.MkdirTemp("", "kiln-parity-")
	if err != nil {
		return 1, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "executor.tar")
	if err := executor.Save(ctx, image, file); err != nil {
		return 1, err
	}
	if err := os.Setenv(executorPart, file); err != nil {
		return 1, err
	}
	return sandbox.Run(ctx)
}
