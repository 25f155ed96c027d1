// Command kiln-agent is the process of a job container; package agent says what
// it guarantees.
//
//	kiln-agent [--socket PATH] [--tcp HOST:PORT --secret FILE] [--ulimit NAME=SOFT:HARD]... [--unset NAME]...
//	kiln-agent action SOCKET TOKEN PROGRAM [ARGUMENT...]
//	kiln-agent call SOCKET              try whether an agent answers there, for doctor
//	kiln-agent hosts FILE               add the lines on its standard input to a hosts file
//	kiln-agent --install PATH           write itself to PATH
//
// It listens for steps until a signal ends it; in the container of an action it runs
// that. It is linked from the standard library and system calls alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"kiln/internal/agent"
	"kiln/internal/buildinit"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) > 0 {
		switch args[0] {
		case agent.LimitCommand:
			return agent.ExecLimited(args[1:])
		case agent.CallCommand:
			return agent.TryDoor(args[1:], os.Stdout)
		case agent.ActionCommand:
			return agent.RunAction(args[1:])
		case agent.HostsCommand:
			return agent.AddHosts(args[1:], os.Stdin, os.Stdout)
		}
	}
	config := agent.Config{Log: os.Stdout}
	flags := flag.NewFlagSet("kiln-agent", flag.ContinueOnError)
	flags.StringVar(&config.Socket, "socket", "", "listen on the Unix socket at `PATH`")
	flags.StringVar(&config.TCP, "tcp", "", "listen on `HOST:PORT`, for those who know the secret")
	secret := flags.String("secret", "", "the `FILE` with that secret")
	flags.Func("ulimit", "`NAME=SOFT:HARD` of all steps, -1 for none; may be repeated", func(text string) error {
		limit, err := agent.ParseUlimit(text)
		config.Limits = append(config.Limits, limit)
		return err
	})
	flags.Func("unset", "a variable of the container `NAME` that no step has; may be repeated", func(name string) error {
		config.Unset = append(config.Unset, name)
		return nil
	})
	install := flags.String("install", "", "write this program to `PATH` and end")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	err := do(*install, *secret, config)
	if err != nil {
		fmt.Fprintf(os.Stdout, "kiln-agent: %v\n", err)
		return 1
	}
	return 0
}

// do installs or serves.
func do(install, secret string, config agent.Config) (err error) {
	if install != "" {
		return buildinit.Install(install)
	}
	if secret != "" {
		if config.Secret, err = readSecret(secret); err != nil {
			return err
		}
	}
	ctx, cancel := agent.UntilStopped(context.Background())
	defer cancel()
	return agent.Serve(ctx, config)
}

// readSecret reads a small file whole, byte for byte.
func readSecret(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the secret: %w", err)
	}
	defer file.Close()
	const limit = 1 << 10
	secret, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && len(secret) > limit {
		err = errors.New("it is too long")
	}
	if err != nil {
		return nil, fmt.Errorf("the secret in %s: %w", path, err)
	}
	return secret, nil
}
