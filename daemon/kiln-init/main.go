// Command kiln-init is the first process of the container that executes a
// Dockerfile; package buildinit says what it guarantees.
//
//	kiln-init PROGRAM [ARGUMENT...]     run a program, an absolute path
//	kiln-init --await ADDRESS PROGRAM [ARGUMENT...]
//	                                    the same, once somebody listens there; say
//	                                    when something comes on standard input
//	kiln-init --install PATH            write itself to PATH
//
// It is linked from the standard library and system calls alone: it starts once
// for each build.
package main

import (
	"fmt"
	"os"
	"time"

	"kiln/internal/buildinit"
)

// mostAwait is how long another may take to listen. The program is not started without.
const mostAwait = time.Minute

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) == 2 && args[0] == "--install" {
		if err := buildinit.Install(args[1]); err != nil {
			fmt.Fprintln(os.Stderr, buildinit.Prefix+err.Error())
			return 1
		}
		return 0
	}
	if err := buildinit.Join(); err != nil {
		fmt.Fprintln(os.Stdout, buildinit.Prefix+err.Error())
	}
	if len(args) >= 2 && args[0] == "--await" {
		if err := buildinit.Await(args[1], mostAwait); err != nil {
			fmt.Fprintln(os.Stdout, buildinit.Prefix+err.Error())
			return buildinit.ExitNotExecutable
		}
		go buildinit.TellInput(0, os.Stdout)
		args = args[2:]
	}
	return buildinit.Run(os.Stdout, args)
}
