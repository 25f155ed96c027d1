package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	"kiln/internal/buildcontext"
	"kiln/internal/spool"
	"kiln/internal/wish"
	"kiln/internal/workerlog"
)

// Bounds on what a job's wishes take: more is left to the steps. Contexts wait in the
// exchange until their turn.
const (
	wishesTime     = time.Minute
	wishMaxBytes   = 64 << 20 // of one context
	wishesMaxBytes = 4 * wishMaxBytes
)

// makeWishes tells the daemon that a job begins, and hands it the contexts of the job's
// container actions before a step wants them. Nobody waits for this process, and nobody
// hears of it: what it cannot do, the step does. args may have the process id of the
// runner's worker.
func makeWishes(args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), wishesTime)
	defer cancel()
	work, err := workFolder()
	if err != nil {
		return
	}
	exchange, err := spool.Open(exchangePath())
	if err != nil {
		return
	}
	defer exchange.Close()
	settings := exchange.Settings()
	if !settings.Prebuild {
		return
	}
	job, left := spool.NewWishJob(), int64(wishesMaxBytes)
	_ = exchange.BeginJob(job) // else its first wish does
	limits := contextLimits(settings)
	limits.Bytes = min(limits.Bytes, wishMaxBytes)
	for rank, dockerfile := range wish.Dockerfiles(work, namedActions(work, args), spool.MaxWishes) {
		if ctx.Err() != nil || left <= 0 {
			return
		}
		limits.Bytes = min(limits.Bytes, left)
		staged, _ := makeWish(ctx, exchange, spool.WishID(job, rank), dockerfile, limits)
		left -= staged
	}
}

// makeWish stages one context and drops the wish for it. It returns the bytes that wait in
// the exchange.
func makeWish(ctx context.Context, exchange *spool.Exchange, id, dockerfile string, limits buildcontext.Limits) (int64, error) {
	draft, err := exchange.NewWish(id)
	if err != nil {
		return 0, err
	}
	defer draft.Remove()
	var staged buildcontext.Summary
	err = draft.WriteContext(func(w io.Writer) (err error) {
		staged, err = buildcontext.Stage(&cancelWriter{ctx: ctx.Err, w: w}, dockerfile, limits)
		return err
	})
	if err != nil {
		return 0, err
	}
	return staged.Bytes, draft.Wish(spool.Wish{
		Dockerfile: filepath.Base(dockerfile), Path: dockerfile, Workspace: os.Getenv("GITHUB_WORKSPACE"), Env: jobLabels(),
	})
}

// jobLabels are the variables that name the job, for people who look at build pods.
func jobLabels() map[string]string {
	labels := map[string]string{}
	for _, name := range []string{"GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_JOB", "GITHUB_RUN_ATTEMPT"} {
		if value := os.Getenv(name); value != "" {
			labels[name] = value
		}
	}
	return labels
}

// namedActions are those that the job's message names; nil where it is not found.
func namedActions(work string, args []string) []wish.Action {
	places := []string{work}
	if len(args) > 0 {
		places = append(places, programOf(args[0]))
	}
	for _, place := range places {
		if !filepath.IsAbs(place) {
			continue
		}
		found := workerlog.Actions(filepath.Join(filepath.Dir(place), "_diag"))
		if found == nil {
			continue
		}
		named := make([]wish.Action, len(found))
		for i, action := range found {
			named[i] = wish.Action(action)
		}
		return named
	}
	return nil
}
