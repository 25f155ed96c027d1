package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"kiln/internal/spool"
)

// check ends the fake daemon at an error.
func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "daemon:", err)
		os.Exit(2)
	}
}

// hold says that the step waits.
func hold() {
	check(os.WriteFile(filepath.Join(os.Getenv("KILN_EXCHANGE"), "held"), nil, 0o666))
}

// lockDaemon takes the daemon's lock. Where a shim looks at that moment it is tried again,
// as the daemon does.
func lockDaemon(exchange *spool.Exchange) *spool.Lock {
	lock, err := exchange.LockDaemon()
	for errors.Is(err, spool.ErrLocked) {
		lock, err = exchange.LockDaemon()
	}
	check(err)
	return lock
}

// noteTold makes the file "told" where a shim has told of a cancel. One that did not come
// to clear up has left it.
func noteTold(exchange *spool.Exchange) {
	ids, err := exchange.Cancelled()
	check(err)
	if len(ids) > 0 {
		check(os.WriteFile(filepath.Join(os.Getenv("KILN_EXCHANGE"), "told"), nil, 0o600))
	}
}

// serveNone holds the daemon's lock and does nothing until it is released.
func serveNone(exchange *spool.Exchange) {
	path := os.Getenv("KILN_EXCHANGE")
	watcher := spool.Watch(context.Background(), path)
	lock := lockDaemon(exchange)
	defer func() { _ = lock.Release() }()
	hold()
	for {
		if _, err := os.Stat(filepath.Join(path, "release")); err == nil {
			return
		}
		<-watcher.C
	}
}

// ignoreOne takes no request, until the first one has come and gone.
func ignoreOne(exchange *spool.Exchange) {
	watcher := spool.Watch(context.Background(), exchange.WatchDirs()...)
	hold()
	for came := false; ; <-watcher.C {
		ids, _, err := exchange.Requests()
		check(err)
		if came && len(ids) == 0 {
			return
		}
		came = came || len(ids) > 0
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
	claim.Load()
	check(claim.Bad)
	r := claim.Request
	if run, ok := strings.CutPrefix(behaviour, "action-"); ok {
		check(claim.Finish(runAction(claim, run)))
		for !claim.Vanished() {
			<-watcher.C
		}
		claim.Close()
		check(exchange.Clear(id))
		return
	}
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
	switch behaviour {
	case "die":
		fmt.Fprint(claim.Log, "half a line")
		check(claim.Log.Flush())
		os.Exit(0)
	case "restart":
		check(exchange.Abandon(id, "the daemon was restarted"))
		behaviour = "deaf" // to all else
	case "flood":
		fmt.Fprintln(claim.Log, strings.Repeat("a line of the log\n", 30_000))
		check(claim.Log.Flush())
	}
	if behaviour == "deaf" || behaviour == "flood" {
		hold()
		for !claim.Vanished() {
			<-watcher.C
		}
		if behaviour == "flood" {
			noteTold(exchange)
		}
		claim.Close()
		check(exchange.Clear(id))
		return
	}
	if behaviour == "hold" {
		hold()
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
