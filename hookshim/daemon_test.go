package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"kiln/internal/spool"
)

// check ends the fake daemon at an error.
func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "daemon:", err)
		os.Exit(2)
	}
}

// serveOne answers the first request and waits until it is gone.
func serveOne(exchange *spool.Exchange, behaviour string) {
	watcher := spool.Watch(context.Background(), exchange.WatchDirs()...)
	for {
		ids, _, err := exchange.Requests()
		check(err)
		if len(ids) > 0 {
			answer(exchange, ids[0], behaviour, watcher)
			return
		}
		<-watcher.C
	}
}

// answer tells the step what was asked, and ends it.
func answer(exchange *spool.Exchange, id, behaviour string, watcher *spool.Watcher) {
	claim, err := exchange.Claim(id, 1<<20)
	check(err)
	check(claim.Bad)
	r := claim.Request
	fmt.Fprintf(claim.Log, "dockerfile=%s workspace=%s debug=%t token=%d\nargs=%s\n", r.Dockerfile, r.Workspace, r.Debug, len(r.StopToken), r.Args)
	if r.Dockerfile != "" {
		staged, err := claim.Context()
		check(err)
		info, err := staged.Stat()
		check(err)
		fmt.Fprintf(claim.Log, "context=%t\n", info.Size() > 0)
		check(staged.Close())
	}
	check(claim.Log.Flush())
	code := 0
	if behaviour == "deaf" {
		check(os.WriteFile(filepath.Join(os.Getenv("KILN_EXCHANGE"), "held"), nil, 0o666))
		for !claim.Vanished() {
			<-watcher.C
		}
		claim.Close()
		check(exchange.Clear(id))
		return
	}
	if behaviour == "hold" {
		check(os.WriteFile(filepath.Join(os.Getenv("KILN_EXCHANGE"), "held"), nil, 0o666))
		for wanted := false; !wanted; <-watcher.C {
			ids, err := exchange.Cancelled()
			check(err)
			wanted = len(ids) > 0
		}
		fmt.Fprintln(claim.Log, "cancelled")
		code = 1
	} else {
		code, err = strconv.Atoi(behaviour)
		check(err)
		fmt.Fprint(claim.Log, "no final newline")
	}
	check(claim.Finish(code))
	for !claim.Vanished() {
		<-watcher.C
	}
	claim.Close()
	check(exchange.Clear(id))
}
