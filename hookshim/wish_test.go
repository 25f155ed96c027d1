package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"kiln/internal/install"
	"kiln/internal/spool"
)

// prepareWishes serves a script of the start of jobs: it installs the hook in the
// directory of the first argument, makes the exchange, and says there that wishes are
// taken unless there is a second argument.
func prepareWishes(args []string) {
	check(install.Hook(args[0]))
	exchange, err := spool.Open(os.Getenv("KILN_EXCHANGE"))
	check(err)
	check(exchange.Init())
	check(exchange.Publish(spool.Settings{ContextMaxBytes: 1 << 20, ContextMaxEntries: 100, Prebuild: len(args) < 2}))
}

// grantWishes waits for that many wishes and takes all that there are: it prints each with
// what its context holds, and how many jobs have begun.
func grantWishes(count string) {
	wanted, err := strconv.Atoi(count)
	check(err)
	exchange, err := spool.Open(os.Getenv("KILN_EXCHANGE"))
	check(err)
	watcher := spool.Watch(context.Background(), exchange.WatchDirs()...)
	jobs, ids, err := wishesIn(exchange)
	for ; err == nil && len(ids) < wanted; jobs, ids, err = wishesIn(exchange) {
		<-watcher.C
	}
	check(err)
	for _, job := range jobs {
		check(exchange.RemoveWish(job))
	}
	for _, id := range ids {
		_, rank, _ := spool.ParseWishID(id)
		wish, err := exchange.TakeWish(id)
		check(err)
		fmt.Printf("wish %d: %s of %s for %s, job %s:", rank, wish.Wish.Dockerfile, wish.Wish.Path, wish.Wish.Workspace, wish.Wish.Env["GITHUB_JOB"])
		context, err := wish.Context()
		check(err)
		for archive := tar.NewReader(context); ; {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			check(err)
			fmt.Print(" ", header.Name)
		}
		fmt.Println()
	}
	fmt.Printf("%d wishes, %d jobs\n", len(ids), len(jobs))
}

// wishesIn are the jobs that begin, and the wishes, in their order.
func wishesIn(exchange *spool.Exchange) (jobs, wishes []string, err error) {
	ids, _, err := exchange.Wishes()
	slices.Sort(ids)
	for _, id := range ids {
		if spool.JobBegins(id) {
			jobs = append(jobs, id)
		} else {
			wishes = append(wishes, id)
		}
	}
	return jobs, wishes, err
}

// BenchmarkJobStarted is what a job waits for at its start, with twenty actions of which
// ten have a Dockerfile to wish for; and, in ms-wished, the time until they are wished for.
func BenchmarkJobStarted(b *testing.B) {
	dir := b.TempDir()
	own, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	bin := filepath.Join(dir, "bin")
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	must(os.Mkdir(bin, 0o755))
	for _, name := range []string{"daemon", install.Shim, install.Agent} {
		must(os.Symlink(own, filepath.Join(bin, name)))
	}
	const actions, wishes = 20, 10
	for i := range actions {
		action := filepath.Join(dir, "_work/_actions/acme", strconv.Itoa(i), "v1")
		must(os.MkdirAll(action, 0o755))
		uses := "runs:\n  using: node20\n  main: index.js\n"
		if i < wishes {
			uses = "runs:\n  using: docker\n  image: Dockerfile\n"
			must(os.WriteFile(filepath.Join(action, "Dockerfile"), []byte("FROM x\n"), 0o644))
		}
		must(os.WriteFile(filepath.Join(action, "action.yml"), []byte(uses), 0o644))
		must(os.WriteFile(action+".completed", nil, 0o644))
	}
	must(os.Mkdir(filepath.Join(dir, "exchange"), 0o777))
	b.Setenv("KILN_EXCHANGE", filepath.Join(dir, "exchange"))
	b.Setenv("RUNNER_WORKSPACE", filepath.Join(dir, "_work/app"))
	b.Setenv("KILN_JOB_STARTED", "")
	exchange, err := spool.Open(filepath.Join(dir, "exchange"))
	must(err)
	defer exchange.Close()
	must(exchange.Init())
	must(exchange.Publish(spool.Settings{Prebuild: true}))
	script := filepath.Join(bin, install.JobStarted)
	must(install.Scripts(bin))
	var wished time.Duration
	for b.Loop() {
		began := time.Now()
		must(exec.CommandContext(b.Context(), "bash", "-e", script).Run())
		b.StopTimer() // until the wishes are there, which nobody waits for
		watcher := spool.Watch(b.Context(), exchange.WatchDirs()...)
		for _, ids, _ := wishesIn(exchange); len(ids) < wishes; _, ids, _ = wishesIn(exchange) {
			<-watcher.C
		}
		wished += time.Since(began)
		ids, _, _ := exchange.Wishes()
		for _, id := range ids {
			must(exchange.RemoveWish(id))
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1e3/float64(b.N), "ms-started")
	b.ReportMetric(float64(wished.Microseconds())/1e3/float64(b.N), "ms-wished")
}
