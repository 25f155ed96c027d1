package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"kiln/e2e/parity/internal/assembled"
	"kiln/e2e/parity/internal/candidate"
	"kiln/e2e/parity/internal/corpus"
	"kiln/e2e/parity/internal/oracle"
	"kiln/e2e/parity/internal/sandbox"
	"kiln/e2e/parity/internal/trial"
)

// registryAddress is where the registry listens; the network is the run's own.
const registryAddress = "127.0.0.1:5000"

// filesAddress is where Dockerfiles of the corpus download from.
const filesAddress = "127.0.0.1:8000"

// mirrored are the registries that Dockerfiles of the corpus name.
func mirrored() []string {
	return []string{"docker.io", "gcr.io", "registry.access.redhat.com"}
}

// trials runs the cases, inside.
func trials(ctx context.Context, o options, group string) (int, error) {
	began := time.Now().Truncate(time.Second)
	if err := sandbox.Enter(); err != nil {
		return 1, err
	}
	bench, stop, err := prepare(ctx, o, group, began)
	if err != nil {
		return 1, err
	}
	defer stop()
	cases, err := choose(o, bench)
	if err != nil {
		return 1, err
	}
	var results []trial.Result
	if err := bench.Run(ctx, cases, func(result trial.Result) {
		report(result, o.detail)
		results = append(results, result)
	}); err != nil {
		return 1, err
	}
	return conclude(o, results, time.Since(began))
}

// choose reads the corpus.
func choose(o options, bench *trial.Bench) ([]corpus.Case, error) {
	busybox, err := bench.Busybox.Digest()
	if err != nil {
		return nil, fmt.Errorf("read busybox: %w", err)
	}
	all, err := corpus.Load(o.corpus, o.module, busybox.String())
	if err != nil {
		return nil, err
	}
	var chosen []corpus.Case
	for _, c := range all {
		if o.run.MatchString(c.ID()) && !(o.fast && c.Slow) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("no case was chosen")
	}
	return chosen, nil
}

// prepare starts what the trials need.
func prepare(ctx context.Context, o options, group string, began time.Time) (bench *trial.Bench, stop func(), err error) {
	dirs := map[string]string{}
	for _, name := range []string{"buildkit", "kiln", "contexts"} {
		dirs[name] = filepath.Join(sandbox.Dir, name)
		if err := os.Mkdir(dirs[name], 0o755); err != nil {
			return nil, nil, fmt.Errorf("make a directory: %w", err)
		}
	}
	images := map[string]v1.Image{}
	for _, name := range []string{"KILN_PART_BUSYBOX", "KILN_PART_DEBIAN", executorPart} {
		if images[name], err = tarball.ImageFromPath(os.Getenv(name), nil); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := trial.Serve(ctx, registryAddress); err != nil {
		return nil, nil, err
	}
	if err := trial.ServeFiles(ctx, filesAddress); err != nil {
		return nil, nil, err
	}
	daemon, err := oracle.Start(ctx, oracle.Config{
		Daemon: os.Getenv("KILN_PART_BUILDKITD"), Client: os.Getenv("KILN_PART_BUILDCTL"),
		Dir: dirs["buildkit"], Cgroup: group, Registry: registryAddress, Mirrored: mirrored(),
	})
	if err != nil {
		return nil, nil, err
	}
	kiln := &candidate.Kiln{
		Executor: images[executorPart], Flavor: o.flavor, Init: os.Getenv("KILN_PART_INIT"),
		Dir: dirs["kiln"], Cgroup: group, Registry: registryAddress, Mirrored: mirrored(),
		Unchecked: o.unchecked,
	}
	made := &trial.Bench{
		Oracle: daemon, Whole: kiln, Once: o.fast,
		Dir: dirs["contexts"], Registry: registryAddress, Began: began,
		Busybox: images["KILN_PART_BUSYBOX"], Debian: images["KILN_PART_DEBIAN"],
	}
	switch split := (&assembled.Builder{Registry: registryAddress, Dir: dirs["kiln"], Skips: o.flavor.SkipsUnused()}); {
	case o.assembled:
		split.Parts, made.Split, made.Whole = assembled.Oracle{BuildKit: daemon, Dir: dirs["contexts"]}, split, nil
	case !o.unchecked:
		split.Parts, made.Split = kiln, split
	}
	return made, func() { _ = daemon.Stop() }, nil // the end of the run stops it in any case
}

// report prints one result.
func report(r trial.Result, detail bool) {
	line(r, r.Case.ID(), detail)
	if r.Split && r.Whole != nil {
		line(*r.Whole, "  built whole", detail)
	}
}

func line(r trial.Result, name string, detail bool) {
	way := "whole"
	if r.Split {
		way = "split"
	}
	fmt.Printf("%-8s %-44s docker %4.1fs kiln %4.1fs %s  %s\n", r.Verdict, name, r.Docker.Seconds(), r.Kiln.Seconds(), way, r.Note)
	if !detail {
		return
	}
	for _, line := range r.Details {
		fmt.Println("         ", line)
	}
}
