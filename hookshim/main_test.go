package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"kiln/internal/spool"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kiln-hook": main,
		"daemon":    fakeDaemon,
		"interrupt": interrupt,
		"burst":     burst,
		// The job container's process, beside the shim.
		"kiln-agent": jobAgent,
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"message": cmdMessage, "state": cmdState},
		Condition: func(condition string) (bool, error) {
			if condition != "namespaces" {
				return false, fmt.Errorf("%q is no condition", condition)
			}
			if allowed := namespaces(); allowed || os.Getuid() != 0 {
				return allowed, nil
			}
			return false, errors.New("root may make no namespaces here")
		},
		Setup: func(env *testscript.Env) error {
			shim, err := exec.LookPath("kiln-hook")
			if err != nil {
				return err
			}
			env.Setenv("SHIM", shim) // for scripts that change PATH
			// A program with the race detector else sleeps before it exits.
			env.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
			exchange := filepath.Join(env.WorkDir, "exchange")
			env.Setenv("KILN_EXCHANGE", exchange)
			env.Setenv("KILN_DAEMON_GRACE", "30s") // what a busy machine may take
			return os.Mkdir(exchange, 0o777)
		},
	})
}

// published are the settings that further arguments of the fake daemon name.
func published(args []string) spool.Settings {
	var settings spool.Settings
	if slices.Contains(args, "template") {
		settings.HookTemplate = true
	}
	if slices.Contains(args, "small") {
		settings.ContextMaxBytes, settings.ContextMaxEntries = 1<<20, 10
	}
	return settings
}

// fakeDaemon serves the exchange for one request: it makes the file "there" once a shim
// finds it there, prints the request's
// fields into the step's log and answers with the code of the first argument.
// With the argument "hold" it answers nothing until the step is cancelled,
// with "deaf" not even then, nor with "flood", which writes a long log first and makes
// the file "told" once the shim is gone, if that has told of the cancel.
// With "restart" it answers as for a step that an earlier run of it left.
// With "job" it answers the calls of a job, see serveJob.
// With "action-…" it runs an action, see runAction.
// With "install" and "wishes" it serves the start of a job, see prepareWishes and
// grantWishes.
// With "die" it ends in the middle of the log, with "mute" it claims nothing,
// and with "unserved" it is there until the file "release" is, and
// has no requests directory. A
// second argument, "template", says that it has an extension template; "small",
// that it takes contexts of 1 MiB in 10 entries.
func fakeDaemon() {
	switch os.Args[1] {
	case "install":
		prepareWishes(os.Args[2:])
		return
	case "wishes":
		grantWishes(os.Args[2])
		return
	}
	exchange, err := spool.Open(os.Getenv("KILN_EXCHANGE"))
	check(err)
	if os.Args[1] == "unserved" {
		serveNone(exchange)
		return
	}
	check(exchange.Init())
	check(exchange.Publish(published(os.Args[2:])))
	lock := lockDaemon(exchange)
	defer func() { _ = lock.Release() }()
	check(os.WriteFile(filepath.Join(os.Getenv("KILN_EXCHANGE"), "there"), nil, 0o600))
	switch os.Args[1] {
	case "mute":
		ignoreOne(exchange)
		return
	case "job":
		serveJob(exchange, os.Args[2:])
		return
	}
	serveOne(exchange, os.Args[1])
}
