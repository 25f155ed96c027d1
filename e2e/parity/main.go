// Command parity builds Dockerfiles with Docker's own builder and with kiln, and
// compares the images. It writes the table of docs/parity.md, or checks that
// the table holds.
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
	"regexp"
	"syscall"

	"kiln/e2e/parity/internal/sandbox"
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
	flag.Parse()
	var err error
	o.run, err = regexp.Compile(*pattern)
	switch {
	case err != nil:
		return o, fmt.Errorf("--run: %w", err)
	case flag.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case o.write != "" && (o.fast || o.unchecked || *pattern != ""):
		return o, errors.New("--write needs all cases: leave out --fast, --run and --unchecked")
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
	return sandbox.Run(ctx)
}
